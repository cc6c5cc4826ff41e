#!/usr/bin/env python3
"""The programs of the source texts, re-enacted: python3 texts.py PROGRAM ADDRESS [ARGUMENT]...

The calls on the sockets, their sizes and their order are the texts', and so are the prompts and what is sent. The
address is an argument, and a server first says where it listens. The number is the text's. Where a text gives one
program twice (the first loop of 004, and its variant for Windows) it stands here once.
"""
import datetime
import hmac
import os
import random
import select
import socket
import socketserver
import struct
import sys
import threading
import time

PATIENCE_S = 120        # as lifeline.py has it, which is out of reach here


class Address:
    """tcp://HOST:PORT, udp://HOST:PORT, unix:PATH or unixgram:PATH, as Python's sockets want it: family, type, name."""

    def __init__(self, text):
        self.text = text
        self.scheme, _, rest = text.partition(':')
        self.path = None
        self.type = socket.SOCK_STREAM if self.scheme in ('tcp', 'unix') else socket.SOCK_DGRAM
        if self.scheme.startswith('unix'):
            self.family = socket.AF_UNIX
            self.path = None if rest.startswith('@') else rest
            self.name = '\0' + rest[1:] if rest.startswith('@') else rest
        else:
            host, _, port = rest[2:].rpartition(':')
            self.family = socket.AF_INET
            self.name = (host, int(port))


def say_where(server, address):
    where = address.text
    if address.family == socket.AF_INET:
        where = '%s://%s:%d' % (address.scheme, *server.getsockname())
    print('listening', where)


def listening(address, *backlog, reuse=False):
    server = socket.socket(address.family, address.type)
    if reuse:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(address.name)
    server.listen(*backlog)
    say_where(server, address)
    return server


def receiving(address):
    server = socket.socket(address.family, address.type)
    server.bind(address.name)
    say_where(server, address)
    return server


def connected(address):
    client = socket.socket(address.family, address.type)
    client.connect(address.name)
    return client


def unconnected(address):
    """A Unix datagram socket cannot be answered without a name; the kernel chooses one."""
    client = socket.socket(address.family, address.type)
    if address.family == socket.AF_UNIX:
        client.bind('')
    return client


# 000: the phone.

def phone_server(address):
    server = listening(address, 5)
    conn, addr = server.accept()
    print('接到来自%s的电话' % addr[0])
    msg = conn.recv(1024)
    print(msg, type(msg))
    conn.send(msg.upper())
    conn.close()
    server.close()


def phone_client(address):
    client = socket.socket(address.family, address.type)
    client.connect_ex(address.name)
    client.send('dream is handsome'.encode('utf-8'))
    feedback = client.recv(1024)
    print(feedback.decode('utf-8'))
    client.close()


def phone_loop_server(address):
    server = listening(address, 5)
    while True:
        conn, addr = server.accept()
        print('接到来自%s的电话' % addr[0])
        while True:
            msg = conn.recv(1024)
            if len(msg) == 0:   # the text has it in a comment only, and says what happens without it
                break
            print(msg, type(msg))
            conn.send(msg.upper())
        conn.close()


def phone_loop_client(address):
    client = socket.socket(address.family, address.type)
    client.connect_ex(address.name)
    while True:
        msg = input('>>: ').strip()
        if len(msg) == 0:
            continue
        client.send(msg.encode('utf-8'))
        feedback = client.recv(1024)
        print(feedback.decode('utf-8'))


# 001: counting, and threads that accept for themselves.

def count_server(address):
    server = listening(address, 5)
    while True:
        print('等待数据连接中……')
        conn, _ = server.accept()
        conn.send('连接成功!'.encode())
        count = 0
        while True:
            data = conn.recv(1024)
            print(data.decode())
            if data == b'exit':
                break
            count = count + 1
            conn.send(('第' + str(count) + '条信息:' + data.decode()).encode())
        conn.close()


def count_client(address):
    """It receives first, so it suits each server that greets."""
    client = connected(address)
    while True:
        data = client.recv(1024)
        print(data.decode())
        messages = input('请输入发送或请求的数据(exit退出):')
        client.send(messages.encode())
        if messages == 'exit':
            break
    client.close()


def ack_server(address):
    server = listening(address, 5)

    def handle_client():
        client, addr = server.accept()
        print('[*] Accept connection from: %s:%d' % addr)
        client.send('Hello World!'.encode())
        while True:
            request = client.recv(1024).decode()
            if request == 'exit':
                break
            print('[*] Received from %s:%d : %s' % (*addr, request))
            client.send((str(random.randint(1, 1000)) + ':' + 'ACK!').encode())
        client.close()

    def handle_clients():
        while True:
            handle_client()

    # The text starts one thread after the other without end, each for one caller: it means that many accept at once.
    for _ in range(5):
        threading.Thread(target=handle_clients).start()


# 002: one question, one answer; send and sendall.

def talk_server(address):
    server = listening(address, 5)
    client, _ = server.accept()
    data = client.recv(1000)
    print('AT', datetime.datetime.now(), client, 'Said', data)
    client.sendall(b'Are you want to talk to me')
    client.close()
    server.close()


def talk_client(address):
    print('Start the client at {}'.format(datetime.datetime.now()))
    client = connected(address)
    client.sendall(b'Hey~~~')
    data = client.recv(1000)
    print('AT', datetime.datetime.now(), 'some reply', data)
    client.close()


def send_server(address, size):
    conn, _ = listening(address, 5).accept()
    conn.settimeout(PATIENCE_S)     # with a timeout, Python's send takes what there is room for
    data = memoryview(bytes(int(size)))
    while data:
        sent = conn.send(data)
        print(sent)
        data = data[sent:]          # the text begins anew at data[sent:] of the whole
    conn.close()


def sendall_server(address, size):
    conn, _ = listening(address, 5).accept()
    conn.settimeout(PATIENCE_S)
    print(conn.sendall(bytes(int(size))))
    conn.close()


# 003: notes, the operator's chat, sticky packets.

def note_server(address):
    sk = listening(address)
    conn, _ = sk.accept()
    res = conn.recv(1024)
    print(res)
    print(res.decode('utf-8'))
    conn.close()
    sk.close()


def note_client(address):
    sk = connected(address)
    sk.send('今天下了一天的雨'.encode('utf-8'))
    sk.close()


def chat_server(address):
    sk = listening(address)
    while True:
        conn, _ = sk.accept()
        while True:
            res = conn.recv(1024)
            print(res.decode('utf-8'))
            str1 = input('服务端想给客户端发送: ')
            conn.send(str1.encode('utf-8'))
            if str1.upper() == 'Q':
                break
        conn.close()


def chat_client(address):
    sk = connected(address)
    while True:
        strvar = input('客户端想给服务端发送的消息为: ')
        sk.send(strvar.encode('utf-8'))
        res = sk.recv(1024)
        if res.upper() == b'Q':
            break
        print(res.decode('utf-8'))
    sk.close()


def stick(address, *heads):
    sk = listening(address)
    coon, _ = sk.accept()
    for head in heads:
        coon.send(head)
    coon.send('下了一天的雨'.encode())
    coon.send('适合发呆'.encode())
    coon.close()
    sk.close()


def sticky_server(address):
    stick(address)


def sticky_text2_server(address):
    stick(address, '18'.encode())


def sticky_text8_server(address):
    stick(address, '00000018'.encode())


def sticky_i32_server(address):
    sk = listening(address)
    coon, _ = sk.accept()
    strvar = input('请输入数据:')
    msg = strvar.encode()
    coon.send(struct.pack('i', len(msg)))
    coon.send(strvar.encode())
    coon.send('适合发呆'.encode())
    coon.close()
    sk.close()


def called_late(address):
    """Connected, and all that the server had to say is here. The texts sleep 0.1 s for that; on a busy machine that
    would make the scheduler decide whether packets stick, so this waits until the server has closed."""
    sk = connected(address)
    poller = select.poll()
    poller.register(sk, select.POLLRDHUP)
    poller.poll(PATIENCE_S * 1000)
    return sk


def sticky_client(address):
    sk = called_late(address)
    res1 = sk.recv(1024)
    print(res1.decode())
    res2 = sk.recv(1024)
    print(res2.decode())
    sk.close()


def unstick(address, digits):
    sk = called_late(address)
    res = sk.recv(digits)
    n = int(res.decode())
    res1 = sk.recv(n)
    print(res1.decode())
    res2 = sk.recv(1024)
    print(res2.decode())
    sk.close()


def sticky_text2_client(address):
    unstick(address, 2)


def sticky_text8_client(address):
    unstick(address, 8)


def sticky_i32_client(address):
    sk = called_late(address)
    res = sk.recv(4)
    tup = struct.unpack('i', res)
    print(tup[0])
    res1 = sk.recv(tup[0])
    print(res1.decode())
    res2 = sk.recv(1024)
    print(res2.decode())
    sk.close()


def udp_note_server(address):
    sk = receiving(address)
    msg, cli_addr = sk.recvfrom(1024)
    print(msg.decode())
    print(cli_addr)
    sk.sendto('下了一天的雨'.encode(), cli_addr)
    sk.close()


def udp_note_client(address):
    sk = unconnected(address)
    sk.sendto('今天天气咋样啊?'.encode(), address.name)
    msg, ser_addr = sk.recvfrom(1024)
    print(msg.decode())
    print(ser_addr)
    sk.close()


def udp_chat_server(address):
    sk = receiving(address)
    while True:
        while True:
            msg, cli_addr = sk.recvfrom(1024)
            print(msg.decode())
            msg = input('服务端给客户端发送的消息: ')
            sk.sendto(msg.encode(), cli_addr)
            if msg.upper() == 'Q':
                break


def udp_chat_client(address):
    sk = unconnected(address)
    while True:
        msg = input('客户端给服务端发送的消息: ')
        sk.sendto(msg.encode(), address.name)
        msg, _ = sk.recvfrom(1024)
        if msg.upper() == b'Q':
            break
        print(msg.decode())
    sk.close()


# 004: the phone again, datagrams, remote commands, socketserver, and who may talk.

def upper_once_server(address):
    phone = listening(address, 5)
    conn, _ = phone.accept()
    msg = conn.recv(1024)
    print('客户端发来的消息是', msg)
    conn.send(msg.upper())
    conn.close()
    phone.close()


def upper_once_client(address):
    phone = connected(address)
    phone.send('hello'.encode('utf-8'))
    data = phone.recv(1024)
    print('收到服务端发来的消息', data)


def upper_server(address):
    """As in the text, it hangs up on a caller who has left only when the next one takes his place."""
    tcp_server = listening(address, 5, reuse=True)
    while True:
        conn, add = tcp_server.accept()
        print('接收的链接是', conn)
        print('地址是', add)
        while True:
            print('服务端开始运行了')
            try:
                data = conn.recv(1024)
                if not data:
                    break
                print('客户发来的是', data.decode('utf-8'))
                conn.send(data.upper())
                print('服务端已发送', data.upper())
            except Exception:
                break


def upper_client(address):
    tcp_client = connected(address)
    while True:
        client_msg = input('>>:').strip()
        if not client_msg:
            continue
        tcp_client.send(client_msg.encode('utf-8'))
        print('客户端已发送消息')
        data = tcp_client.recv(1024)
        print('收到服务端发来的消息', data.decode('utf-8'))


def udp_upper_server(address):
    udp_server = receiving(address)
    while True:
        data, addr = udp_server.recvfrom(1024)
        print(data.decode('utf-8'))
        udp_server.sendto(data.upper(), addr)


def udp_upper_client(address):
    udp_client = unconnected(address)
    while True:
        msg = input('>>:').strip()
        udp_client.sendto(msg.encode('utf-8'), address.name)
        data, _ = udp_client.recvfrom(1024)
        print(data.decode('utf-8'))


def time_server(address):
    server = receiving(address)
    while True:
        data, addr = server.recvfrom(1024)
        fmt = data.decode('utf-8') if data else '%Y-%m-%d-%X'
        server.sendto(time.strftime(fmt).encode('utf-8'), addr)


def time_client(address):
    client = unconnected(address)
    while True:
        msg = input('>>:').strip()
        client.sendto(msg.encode('utf-8'), address.name)
        data, _ = client.recvfrom(1024)
        print('服务器的标准时间是:', data.decode('utf-8'))


def result_of(cmd):
    import subprocess   # here, because it takes as long as the rest of Python's start
    res = subprocess.Popen(cmd.decode('utf-8'), shell=True, stderr=subprocess.PIPE, stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE)
    err = res.stderr.read()
    return err or res.stdout.read() or '操作成功'.encode('utf-8')


def serve_commands(address, send_answer):
    """Like upper_server, none of the three hangs up."""
    tcp_server = listening(address, 5, reuse=True)
    while True:
        conn, addr = tcp_server.accept()
        print('新的客户端连接', addr)
        while True:
            try:
                cmd = conn.recv(1024)
                if not cmd:
                    break
                print('收到客户端的命令', cmd)
                send_answer(conn, result_of(cmd))
            except Exception as e:
                print(e)
                break


def give_commands(address, recv_answer):
    tcp_client = connected(address)
    while True:
        cmd = input('>>:').strip()
        if not cmd:
            continue
        if cmd == 'quit':
            break
        tcp_client.send(cmd.encode('utf-8'))
        print('命令的执行结果是', recv_answer(tcp_client).decode('utf-8'))
    tcp_client.close()


def command_server(address):
    serve_commands(address, lambda conn, cmd_res: conn.send(cmd_res))


def command_client(address):
    give_commands(address, lambda tcp_client: tcp_client.recv(1024))


def command_ready_server(address):
    def send_answer(conn, cmd_res):
        conn.send(str(len(cmd_res)).encode('utf-8'))
        client_ready = conn.recv(1024)
        if client_ready == b'ready':
            conn.send(cmd_res)
    serve_commands(address, send_answer)


def command_ready_client(address):
    def recv_answer(tcp_client):
        length = tcp_client.recv(1024)
        tcp_client.send(b'ready')
        recv_msg = b''
        while len(recv_msg) < int(length.decode('utf-8')):
            recv_msg += tcp_client.recv(1024)
        return recv_msg
    give_commands(address, recv_answer)


def command_i32_server(address):
    def send_answer(conn, cmd_res):
        conn.send(struct.pack('i', len(cmd_res)))
        conn.send(cmd_res)
    serve_commands(address, send_answer)


def command_i32_client(address):
    def recv_answer(tcp_client):
        length, = struct.unpack('i', tcp_client.recv(4))
        # The text joins bytes with a str, and to the end of the connection: it means the length just read.
        recv_msg = b''
        while len(recv_msg) < length:
            recv_msg += tcp_client.recv(1024)
        return recv_msg
    give_commands(address, recv_answer)


def serve_forever(server, address):
    say_where(server.socket, address)
    server.serve_forever()


def threading_tcp_server(address):
    class MyServer(socketserver.BaseRequestHandler):
        def handle(self):
            while True:
                try:
                    data = self.request.recv(1024)
                    if not data:
                        break
                    print('收到客户端的消息是:', data, self.client_address)
                    self.request.send(data.upper())
                except Exception as e:
                    print(e)
                    break

    serve_forever(socketserver.ThreadingTCPServer(address.name, MyServer), address)


def threading_tcp_client(address):
    tcp_client = connected(address)
    while True:
        msg = input('>>: ').strip()
        if not msg:
            continue
        tcp_client.send(msg.encode('utf-8'))
        print('客户端已经发送消息')
        data = tcp_client.recv(1024)
        print('收到服务端发来的消息', data.decode('utf-8'))


def threading_udp_server(address):
    class MyServer(socketserver.BaseRequestHandler):
        def handle(self):
            print('收到客户端的消息是', self.request[0], self.client_address)
            self.request[1].sendto(self.request[0].upper(), self.client_address)

    serve_forever(socketserver.ThreadingUDPServer(address.name, MyServer), address)


def threading_udp_client(address):
    udp_client = unconnected(address)
    while True:
        msg = input('>>: ').strip()
        udp_client.sendto(msg.encode('utf-8'), address.name)
        data, _ = udp_client.recvfrom(1024)
        print(data)


def digest_of(secret_key, msg):
    return hmac.new(secret_key.encode(), msg, 'md5').digest()   # which was the default when the text was written


def auth_server(address, secret_key='ni hao ma'):
    def conn_auth(conn):
        print('开始验证连接的合法性')
        msg = os.urandom(32)
        conn.sendall(msg)
        digest = digest_of(secret_key, msg)
        respone = conn.recv(len(digest))
        return hmac.compare_digest(respone, digest)

    def data_handler(conn):
        if not conn_auth(conn):
            print('该连接不合法,关闭')
            conn.close()
            return
        print('连接合法,开始通信')
        while True:
            data = conn.recv(1024)
            if not data:
                break
            conn.send(data.upper())

    tcp_socket_server = listening(address, 5, reuse=True)
    while True:
        conn, addr = tcp_socket_server.accept()
        print('conn是%s,addr是%s' % (conn, addr))
        data_handler(conn)


def auth_client(address, secret_key='ni hao ma'):
    tcp_socket_client = connected(address)
    msg = tcp_socket_client.recv(32)
    digest = digest_of(secret_key, msg)
    tcp_socket_client.sendall(digest)
    while True:
        cmd = input('>>:').strip()
        if not cmd:
            continue
        if cmd == 'quit':
            break
        tcp_socket_client.send(cmd.encode('utf-8'))
        data = tcp_socket_client.recv(1024)
        print(data.decode('utf-8'))
    tcp_socket_client.close()


def main():
    program, address, *arguments = sys.argv[1:]
    try:
        globals()[program](Address(address), *arguments)
    except EOFError:
        pass    # many a loop in the texts ends by the user's Ctrl-C only: here by the end of the input


if __name__ == '__main__':
    main()
