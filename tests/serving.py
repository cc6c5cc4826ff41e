"""The real command, started for a test and ended with it."""
import os
import re
import signal
import socket
import subprocess
import tempfile

from lifeline import PATIENCE_S, children_of, following

SWITCHBOARD = os.environ['SWITCHBOARD']


class Served:
    """`switchboard serve`, until it has ended. under: a command that runs it. waits: for its ready line, or its end.
    pass_fds: descriptors that it shall have. program: the command's file."""

    def __init__(self, test, *arguments, under=(), waits=True, pass_fds=(), program=SWITCHBOARD):
        command = following(program, 'serve', *arguments)
        # A pipe that nobody reads would fill up, and hold up who writes to it.
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(following(*under, *command), stdout=subprocess.PIPE, stderr=self.errors,
                                        pass_fds=pass_fds, text=True)
        test.addCleanup(self.end)
        self.line = self.process.stdout.readline() if waits else ''
        found = re.search(r'listening (\S+)', self.line)
        self.address = found.group(1) if found else None

    def place(self):
        """(host, port) of its address."""
        host, port = re.sub(r'^\w+://', '', self.address).rsplit(':', 1)
        return host.strip('[]'), int(port)

    def dial(self):
        if self.address.startswith('tcp://'):
            return socket.create_connection(self.place(), PATIENCE_S)
        caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        caller.settimeout(PATIENCE_S)
        caller.connect(self.address[len('unix:'):])
        return caller

    def pid(self):
        """The server's, which is not the process's when that stands between."""
        return int(re.search(r'pid=(\d+)', self.line).group(1))

    def serving(self):
        """The pid of the generation that serves."""
        return children_of(self.pid())[0]

    def status(self):
        """What `switchboard status` counts: name -> number."""
        done = subprocess.run([SWITCHBOARD, 'status', str(self.pid())], check=True, capture_output=True, text=True)
        return {name: int(number) for name, number in re.findall(r' (\w+)=(\d+)\b', done.stdout.splitlines()[0])}

    def stop(self):
        os.kill(self.pid(), signal.SIGTERM)

    def said(self):
        """On stderr, so far."""
        return os.pread(self.errors.fileno(), 1 << 24, 0).decode(errors='replace')

    def wait(self):
        """Its exit status and what it has said."""
        self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, self.said()

    def end(self):
        self.process.kill()
        self.process.communicate()
        self.errors.close()
