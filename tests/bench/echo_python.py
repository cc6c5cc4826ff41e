#!/usr/bin/env python3
"""The benchmarks' server on Python's socketserver.

    echo_python.py tcp|threading|forking|udp
"""
import os
import resource
import signal
import socketserver
import sys


class Upper(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(4096):
            self.request.sendall(data.upper())


class UpperDatagram(socketserver.BaseRequestHandler):
    def handle(self):
        data, server = self.request
        server.sendto(data.upper(), self.client_address)


class TCPServer(socketserver.TCPServer):
    request_queue_size = 4096       # not 5: a queue that overflows costs its callers a second each


class ThreadingTCPServer(socketserver.ThreadingMixIn, TCPServer):
    pass


class ForkingTCPServer(socketserver.ForkingMixIn, TCPServer):
    max_children = 1000             # not 40: more callers than that talk


SERVERS = {
    "tcp": (TCPServer, Upper),
    "threading": (ThreadingTCPServer, Upper),
    "forking": (ForkingTCPServer, Upper),
    "udp": (socketserver.UDPServer, UpperDatagram),
}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in SERVERS:
        sys.exit(__doc__)
    kind = sys.argv[1]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server_class, handler_class = SERVERS[kind]
    with server_class(("127.0.0.1", 0), handler_class) as server:
        family = "udp" if kind == "udp" else "tcp"
        print(f"listening {family}://127.0.0.1:{server.server_address[1]} handler=upper strategy=python-{kind} "
              f"pid={os.getpid()}", flush=True)
        server.serve_forever()


main()
