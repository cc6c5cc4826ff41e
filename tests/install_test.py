"""Installs switchboard under a temporary prefix and uses it from there, as a user would.

    install_test.py SOURCE_DIR
"""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

from lifeline import PATIENCE_S, following

SOURCE = pathlib.Path(sys.argv.pop(1)).resolve()
BUILD_PATIENCE_S = 10 * PATIENCE_S

PROGRAM = r"""
#include <switchboard/switchboard.h>

static int handle(struct sb_request *request)
{
    char line[256];
    ssize_t n = sb_readline(request, line, sizeof line);
    return n < 0 ? n : sb_sendall(request, line, n);
}

int main(void)
{
    static const struct sb_handler echo = { .name = "echo", .handle = handle };
    struct sb_server *server;
    if (sb_server_create(sb_threading_tcp_server, "127.0.0.1:0", SB_HANDLERS(&echo), NULL, &server) < 0)
        return 1;
    printf("listening %s\n", sb_server_address(server, 0));
    fflush(stdout);
    int r = sb_server_handle_request(server);
    sb_server_destroy(server);
    return r == 1 ? 0 : 1;
}
"""


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=BUILD_PATIENCE_S,
                          **options)
    if done.returncode != 0:
        raise AssertionError("%s: status %d\n%s" % (" ".join(map(str, command)), done.returncode, done.stdout))
    return done.stdout


@contextlib.contextmanager
def serving(*command, **options):
    """A server from its ready line on; yields a connected socket."""
    process = subprocess.Popen(following(*command), stdout=subprocess.PIPE, text=True, **options)
    try:
        port = int(process.stdout.readline().split()[1].rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as caller:
            yield caller
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="switchboard-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.root = pathlib.Path(cls.folder.name)
        cls.prefix = cls.root / "prefix"
        cls.environment = {name: value for name, value in os.environ.items()
                           if name not in ("SWITCHBOARD_PATH", "LD_LIBRARY_PATH", "SWITCHBOARD")}
        run("meson", "setup", cls.root / "build", SOURCE, "--prefix", cls.prefix, "--libdir", "lib", "-Dtests=false",
            "-Doptimization=0", env=cls.environment)
        run("meson", "install", "-C", cls.root / "build", env=cls.environment)
        cls.environment["PKG_CONFIG_PATH"] = str(cls.prefix / "lib/pkgconfig")
        cls.command = str(cls.prefix / "bin/switchboard")

    def test_the_command_finds_its_library_and_handlers(self):
        self.assertIn("upper", run(self.command, "list", "handlers", env=self.environment))
        with serving(self.command, "serve", "upper", "tcp://127.0.0.1:0", env=self.environment) as caller:
            caller.sendall(b"hello")
            self.assertEqual(caller.recv(100), b"HELLO")

    def test_the_client_command_is_there(self):
        self.assertIn("Usage", run(self.command, "client", "--help", env=self.environment))

    def test_headers_and_pkg_config_build_a_program(self):
        source = self.root / "echo.c"
        source.write_text(PROGRAM)
        flags = run("pkg-config", "--cflags", "--libs", "switchboard", env=self.environment).split()
        run("cc", "-Wall", "-Wextra", "-Werror", "-o", self.root / "echo", source, *flags,
            "-Wl,-rpath," + str(self.prefix / "lib"))
        with serving(self.root / "echo", env=self.environment) as caller:
            caller.sendall(b"hello\n")
            self.assertEqual(caller.recv(100), b"hello\n")

    def test_a_new_handler_is_built_in_its_own_folder_and_served(self):
        for environment, command in ((self.environment, self.command),
                                     ({**self.environment, "PKG_CONFIG_PATH": str(self.root / "build/meson-uninstalled")},
                                      str(self.root / "build/tools/switchboard"))):
            with tempfile.TemporaryDirectory(dir=self.root) as folder:
                run(command, "new", "mine", cwd=folder, env=environment)
                run("meson", "setup", "build", cwd=folder + "/mine", env=environment)
                run("meson", "compile", "-C", "build", cwd=folder + "/mine", env=environment)
                plugin = next(pathlib.Path(folder).glob("mine/build/*.so"))
                with serving(command, "serve", str(plugin), "tcp://127.0.0.1:0", "-s", "prefork:2",
                             env=environment) as caller:
                    caller.sendall(b"hello\n")
                    self.assertTrue(caller.recv(100))

    def test_manual_pages_and_completion_are_installed(self):
        for page in ("man1/switchboard.1", "man1/switchboard-serve.1", "man1/switchboard-client.1",
                     "man7/switchboard-handler.7"):
            self.assertTrue((self.prefix / "share/man" / page).exists(), page)
        self.assertTrue((self.prefix / "share/bash-completion/completions/switchboard").exists())

    def completed(self, word, *words):
        """What may stand for the word behind the others."""
        script = self.prefix / "share/bash-completion/completions/switchboard"
        return run("bash", "-c", '. "$1"; shift; _switchboard_candidates "$@"', "bash", script, self.command, word,
                   *words, env=self.environment).split()

    def test_completion_offers_the_options_of_the_handler_on_the_line(self):
        self.assertEqual(self.completed("", "serve", "sleep", "-o"), ["ms=", "max="])
        self.assertEqual(self.completed("--option=m", "compare", "-S", "short", "sleep"),
                         ["--option=ms=", "--option=max="])
        self.assertEqual(self.completed("", "serve", "sleep+upper", "-o"), ["ms=", "max=", "frame="])
        plugin = str(self.prefix / "lib/switchboard/sleep.so")
        self.assertEqual(self.completed("", "serve", plugin, "-o"), ["ms=", "max="])
        self.assertIn("separator=", self.completed("", "serve", "-o"))
        self.assertIn("sleep", self.completed("sl", "serve", "--nodelay"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
