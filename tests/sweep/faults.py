"""The system calls that a server makes, and what their man pages say may become of each (Linux man-pages 6.9)."""
import errno

SENDING = ('EACCES EAGAIN EALREADY EBADF ECONNRESET EDESTADDRREQ EFAULT EINTR EINVAL EISCONN EMSGSIZE ENOBUFS ENOMEM '
           'ENOTCONN ENOTSOCK EOPNOTSUPP EPIPE')
RECEIVING = 'EAGAIN EBADF ECONNREFUSED EFAULT EINTR EINVAL ENOMEM ENOTCONN ENOTSOCK ECONNRESET ETIMEDOUT'

TABLE = {
    'accept4': 'EAGAIN EBADF ECONNABORTED EFAULT EINTR EINVAL EMFILE ENFILE ENOBUFS ENOMEM ENOTSOCK EOPNOTSUPP EPERM '
               'EPROTO ENETDOWN ENOPROTOOPT EHOSTDOWN ENONET EHOSTUNREACH ENETUNREACH',
    'access': 'EACCES EFAULT EINVAL EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EROFS',
    'bind': 'EACCES EADDRINUSE EADDRNOTAVAIL EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR ENOTSOCK '
            'EROFS',
    'clone': 'EAGAIN EINVAL ENOMEM ENOSPC EPERM EUSERS',
    'clone3': 'EAGAIN EINVAL ENOMEM ENOSPC ENOSYS EPERM',
    'dup': 'EBADF EMFILE',
    'epoll_create1': 'EINVAL EMFILE ENFILE ENOMEM',
    'epoll_ctl': 'EBADF EEXIST EINVAL ELOOP ENOENT ENOMEM ENOSPC EPERM',
    'epoll_pwait': 'EBADF EFAULT EINTR EINVAL',
    'epoll_wait': 'EBADF EFAULT EINTR EINVAL',
    'eventfd2': 'EINVAL EMFILE ENFILE ENODEV ENOMEM',
    'execve': 'E2BIG EACCES EAGAIN EFAULT EINVAL EIO EISDIR ELIBBAD ELOOP EMFILE ENAMETOOLONG ENFILE ENOENT ENOEXEC '
              'ENOMEM ENOTDIR EPERM ETXTBSY',
    'fchmod': 'EBADF EINVAL EIO ELOOP ENOMEM EPERM EROFS',
    'fcntl': 'EACCES EAGAIN EBADF EINTR EINVAL EMFILE EPERM',
    'flock': 'EBADF EINTR EINVAL ENOLCK EWOULDBLOCK',
    'ftruncate': 'EACCES EFBIG EINTR EINVAL EIO EPERM EROFS',
    'getdents64': 'EBADF EFAULT EINVAL ENOENT ENOTDIR',
    'getpeername': 'EBADF EFAULT EINVAL ENOBUFS ENOTCONN ENOTSOCK',
    'getrandom': 'EAGAIN EINTR ENOSYS',
    'getsockname': 'EBADF EFAULT EINVAL ENOBUFS ENOTSOCK',
    'getsockopt': 'EBADF EFAULT EINVAL ENOPROTOOPT ENOTSOCK',
    'io_uring_enter': 'EAGAIN EBADF EBADFD EBADR EBUSY EFAULT EINTR EINVAL ENXIO EOPNOTSUPP',
    'io_uring_register': 'EACCES EBADF EBADFD EBUSY EEXIST EFAULT EINVAL EMFILE ENOMEM ENXIO EOPNOTSUPP',
    'io_uring_setup': 'EFAULT EINVAL EMFILE ENFILE ENOMEM ENOSYS EPERM',
    'kill': 'EINVAL EPERM ESRCH',
    'listen': 'EADDRINUSE EBADF ENOTSOCK EOPNOTSUPP',
    'lseek': 'EBADF EINVAL ENXIO EOVERFLOW ESPIPE',
    'madvise': 'EACCES EAGAIN EBADF EINVAL EIO ENOMEM EPERM',
    'memfd_create': 'EFAULT EINVAL EMFILE ENFILE ENOMEM EPERM',
    'memory': 'ENOMEM',
    'mmap': 'EACCES EAGAIN EBADF EEXIST EINVAL ENFILE ENODEV ENOMEM EPERM ETXTBSY',
    'mprotect': 'EACCES EINVAL ENOMEM',
    'munmap': 'EINVAL ENOMEM',
    'newfstatat': 'EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EOVERFLOW',
    'openat': 'EACCES EBADF EBUSY EDQUOT EEXIST EFAULT EFBIG EINTR EINVAL EISDIR ELOOP EMFILE ENAMETOOLONG ENFILE '
              'ENODEV ENOENT ENOMEM ENOSPC ENOTDIR ENXIO EOPNOTSUPP EOVERFLOW EPERM EROFS ETXTBSY EWOULDBLOCK',
    'pidfd_open': 'EINVAL EMFILE ENFILE ENODEV ENOMEM ESRCH',
    'pidfd_send_signal': 'EBADF EINVAL EPERM ESRCH',
    'poll': 'EFAULT EINTR EINVAL ENOMEM',
    'prctl': 'EACCES EBADF EBUSY EFAULT EINVAL ENODEV ENXIO EOPNOTSUPP EPERM ERANGE',
    'pread64': 'EAGAIN EBADF EFAULT EINTR EINVAL EIO EISDIR ENXIO EOVERFLOW ESPIPE',
    'prlimit64': 'EFAULT EINVAL EPERM ESRCH',
    'read': 'EAGAIN EBADF EFAULT EINTR EINVAL EIO EISDIR',
    'readlink': 'EACCES EFAULT EINVAL EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR',
    'recvfrom': RECEIVING,
    'recvmmsg': RECEIVING,
    'recvmsg': RECEIVING,
    'rename': 'EACCES EBUSY EDQUOT EFAULT EINVAL EISDIR ELOOP EMLINK ENAMETOOLONG ENOENT ENOMEM ENOSPC ENOTDIR ENOTEMPTY '
              'EPERM EROFS EXDEV',
    'rt_sigaction': 'EFAULT EINVAL',
    'rt_sigprocmask': 'EFAULT EINVAL',
    'rt_sigqueueinfo': 'EAGAIN EINVAL EPERM ESRCH',
    'sendmmsg': SENDING,
    'sendmsg': SENDING,
    'sendto': SENDING,
    'setsockopt': 'EBADF EDOM EFAULT EINVAL EISCONN ENOBUFS ENOMEM ENOPROTOOPT ENOTSOCK EPERM',
    'shutdown': 'EBADF EINVAL ENOTCONN ENOTSOCK',
    'sigaltstack': 'EFAULT EINVAL ENOMEM EPERM',
    'socket': 'EACCES EAFNOSUPPORT EINVAL EMFILE ENFILE ENOBUFS ENOMEM EPROTONOSUPPORT',
    'socketpair': 'EAFNOSUPPORT EFAULT EMFILE ENFILE EOPNOTSUPP EPROTONOSUPPORT',
    'timerfd_create': 'EINVAL EMFILE ENFILE ENODEV ENOMEM EPERM',
    'timerfd_settime': 'EBADF ECANCELED EFAULT EINVAL',
    'unlink': 'EACCES EBUSY EFAULT EIO EISDIR ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR EPERM EROFS',
    'wait4': 'EAGAIN ECHILD EINTR EINVAL ESRCH',
    'write': 'EAGAIN EBADF EDESTADDRREQ EDQUOT EFAULT EFBIG EINTR EINVAL EIO ENOSPC EPERM EPIPE',
}

# call: why no fault of it is made up
LEFT_OUT = {
    'arch_prctl': 'the loader\'s, before main()',
    'brk': 'malloc(3) goes on with mmap(2) and says ENOMEM; the sweep of memory has that',
    'close': 'whatever it returns, the descriptor is closed (close(2)): a fault made up would be one that is left open',
    'exit': 'does not return',
    'exit_group': 'does not return',
    'futex': 'the C library ends the process for what it does not expect, and hides the rest',
    'geteuid': 'cannot fail',
    'getgid': 'cannot fail',
    'getpid': 'cannot fail',
    'getppid': 'cannot fail',
    'gettid': 'cannot fail',
    'getuid': 'cannot fail',
    'restart_syscall': 'the kernel\'s own',
    'rseq': 'the C library\'s, which then does without',
    'rt_sigreturn': 'does not return',
    'sched_yield': 'cannot fail',
    'set_robust_list': 'the C library\'s, which ignores it',
    'set_tid_address': 'cannot fail',
}


def errors_of(call):
    """The names and numbers of its errors."""
    if call not in TABLE:
        raise SystemExit(f'sweep: {call} is a new one: put it into TABLE or LEFT_OUT of faults.py')
    return [(name, getattr(errno, name)) for name in TABLE[call].split()]
