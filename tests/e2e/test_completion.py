"""Completion as the shells really do it: fish is asked for candidates, bash and zsh are watched at a terminal."""

import json
import os
import pty
import re
import select
import shlex
import socket
import subprocess
import tempfile
import time
import unittest

import lab
from lab import GOQUERY, GPCTL, Lab, Sensor, wait_until

GPDB = os.path.join(lab.BUILD, "client", "gpdb", "gpdb")
FOLDER = os.path.join(lab.TOP, "deploy", "completion")
GENDB = os.path.join(lab.BUILD, "tests", "bench", "gp-gendb")
MARK = "@@@"  # around what a shell says to this test


class Shells(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="gpe2e."))
        cls.db = os.path.join(cls.dir, "db")
        for iface in ("eth0", "wlan0"):
            subprocess.run([GENDB, cls.db, "1", "1", "1", "1"], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            os.rename(os.path.join(cls.db, "eth0"), os.path.join(cls.db, f"made-{iface}"))
        cls.bin = os.path.join(cls.dir, "bin")
        os.mkdir(cls.bin)
        os.symlink(GOQUERY, os.path.join(cls.bin, "goquery"))
        os.symlink(GPCTL, os.path.join(cls.bin, "gpctl"))
        os.symlink(GPDB, os.path.join(cls.bin, "gpdb"))
        cls.hosts = os.path.join(cls.dir, "hosts.yaml")
        with open(cls.hosts, "w", encoding="utf-8") as f:
            json.dump({name: {"addr": "127.0.0.1:1"} for name in ("web1", "db1", "we$(id)", "-x", "we;b")}, f)
        cls.env = {"PATH": f"{cls.bin}:/usr/bin:/bin", "HOME": cls.dir, "TERM": "dumb", "LC_ALL": "C.UTF-8"}

    def bash(self, program, *words, source=None):
        script = f"""
            source {source or f"{FOLDER}/{program}.bash"}
            COMP_LINE={shlex.quote(' '.join((program, *words)))}
            COMP_WORDS=({program} {' '.join(f"'{w}'" for w in words)}) COMP_CWORD={len(words)}
            _{program}
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        out = subprocess.run(["bash", "-c", script], env=self.env, capture_output=True, text=True, check=True).stdout
        return out.split()

    def bash_line(self, line):
        """What the line becomes when TAB is typed behind it; another key prints it."""
        startup = f"""
            for f in goquery gpctl gpdb; do . {FOLDER}/$f.bash; done
            bind 'set enable-bracketed-paste off'; bind 'set bell-style none'
            _tell() {{ printf '%s\\n' "{MARK}$READLINE_LINE{MARK}"; }}; bind -x '"\\C-g": _tell'
            PS1='{MARK}> '"""
        with open(os.path.join(self.dir, ".bashrc"), "w", encoding="utf-8") as f:
            f.write(startup + "\n")
        return self.typed("/bin/bash", line, "\t\a")

    def fish(self, program, line, source=None):
        script = f"source {source or f'{FOLDER}/{program}.fish'}; complete -C {line!r}"
        out = subprocess.run(["fish", "--no-config", "-c", script], env=self.env, capture_output=True, text=True,
                             check=True)
        self.assertEqual("", out.stderr)
        return [text.split("\t")[0] for text in out.stdout.splitlines()]

    def zsh(self, program, line, setup=None):
        """What the line becomes when TAB is typed behind it: the key completes, and prints the line as it is then."""
        setup = setup or f"""
            autoload -Uz compinit; compinit -u -d {self.dir}/zcompdump
            _our() {{ source {FOLDER}/{program}.zsh; }}; compdef _our {program}"""
        startup = f"""{setup}
            _tab() {{ zle complete-word; print -r -- "{MARK}$BUFFER{MARK}"; }}; zle -N _tab; bindkey '\t' _tab
            PS1='{MARK}> '; unsetopt beep"""
        with open(os.path.join(self.dir, ".zshrc"), "w", encoding="utf-8") as f:
            f.write(startup + "\n")
        return self.typed("/usr/bin/zsh", line, "\t")

    def typed(self, shell, line, keys):
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(shell, [os.path.basename(shell), "-i"], self.env)
        try:
            self.read_until(fd, f"{MARK}> ")
            os.write(fd, (line + keys).encode())
            return self.read_until(fd, f"{MARK}([^>].*){MARK}")[1]
        finally:
            os.close(fd)
            os.waitpid(pid, 0)

    def read_until(self, fd, pattern):
        """The match, in what the terminal shows apart from colours and movements."""
        seen = ""

        def is_there():
            nonlocal seen
            if select.select([fd], [], [], 0.2)[0]:
                seen += os.read(fd, 65536).decode(errors="replace")
            return re.search(pattern, re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", seen))
        return wait_until(f"the shell shows {pattern!r}", is_there)


class Completion(Shells):
    def test_bash(self):
        self.assertEqual(["made-eth0"], self.bash("goquery", "-d", self.db, "-i", "made-e"))
        self.assertEqual(["any,made-wlan0"], self.bash("goquery", "-d", self.db, "-i", "any,made-w"))
        self.assertEqual(["sip,dip"], self.bash("goquery", "sip,di"))
        self.assertIn("list", self.bash("goquery", "l"))
        self.assertEqual(["--sort.ascending", "--sort.by"], sorted(self.bash("goquery", "--sort")))
        self.assertEqual(["csv"], self.bash("goquery", "-e", "c"))
        self.assertEqual(["status"], self.bash("gpctl", "st"))
        self.assertEqual(["--detailed"], self.bash("gpctl", "status", "--d"))
        self.assertIn("lo", self.bash("gpctl", "status", "l"))
        self.assertEqual(["check"], self.bash("gpdb", "ch"))
        self.assertEqual(["--dry-run"], self.bash("gpdb", "repair", "--dr"))

    def test_a_line_in_bash(self):
        """A folder gets a slash and no blank; colons are no ends of words."""
        for line, expected in ((f"goquery -d {self.dir}/d", f"goquery -d {self.db}/"),
                               (f"goquery --db.path={self.dir}/d", f"goquery --db.path={self.db}/"),
                               (f"goquery -d {self.db} -i made-e", f"goquery -d {self.db} -i made-eth0"),
                               (f"goquery --db.path={self.db} -i any,made-e", f"goquery --db.path={self.db} -i any,made-eth0"),
                               (f"goquery --query.server.addr unix:{self.dir}/b", f"goquery --query.server.addr unix:{self.bin}/"),
                               (f"gpdb check {self.dir}/d", f"gpdb check {self.db}/"),
                               (f"gpctl -s unix:{self.dir}/b", f"gpctl -s unix:{self.bin}/"),
                               (f"gpctl --server.addr=unix:{self.dir}/b", f"gpctl --server.addr=unix:{self.bin}/"),
                               ("gpctl -s localhost:", "gpctl -s localhost:8145 "),
                               ("gpctl -s localhost:8145 st", "gpctl -s localhost:8145 status "),
                               ("gpctl -s unix:", "gpctl -s unix:/run/goprobe/goprobe.sock "),
                               (f"gpctl --endpoints {self.hosts} -q we", f"gpctl --endpoints {self.hosts} -q web1"),
                               (f"gpctl --endpoints={self.hosts} -q db1,we", f"gpctl --endpoints={self.hosts} -q db1,web1")):
            with self.subTest(line):
                self.assertEqual(expected, self.bash_line(line))

    def test_names_of_others_mean_nothing_to_a_shell(self):
        found = subprocess.run([GOQUERY, "completion", "hosts", self.hosts], capture_output=True, text=True, check=True).stdout
        self.assertEqual(["db1", "web1"], found.split())

    def test_fish(self):
        self.assertEqual(["made-eth0"], self.fish("goquery", f"goquery -d {self.db} -i made-e"))
        self.assertEqual(["any,made-wlan0"], self.fish("goquery", f"goquery -d {self.db} -i any,made-w"))
        self.assertIn("sip,dip", self.fish("goquery", "goquery sip,di"))
        self.assertIn("--query.live", self.fish("goquery", "goquery --query.l"))
        self.assertEqual(["status"], self.fish("gpctl", "gpctl sta"))
        self.assertEqual(["--detailed"], self.fish("gpctl", "gpctl status --det"))
        self.assertEqual(["check"], self.fish("gpdb", "gpdb che"))
        self.assertEqual(["--dry-run"], self.fish("gpdb", "gpdb repair --dry"))
        self.assertEqual([f"unix:{self.bin}/"], self.fish("gpctl", f"gpctl -s unix:{self.dir}/b"))
        self.assertEqual(["localhost:8145"], self.fish("gpctl", "gpctl -s localhost:"))
        self.assertEqual(["db1,web1"], self.fish("gpctl", f"gpctl --endpoints {self.hosts} -q db1,we"))
        self.assertEqual([f"unix:{self.bin}/"], self.fish("goquery", f"goquery --query.server.addr unix:{self.dir}/b"))

    def test_zsh(self):
        self.assertIn("-i made-eth0", self.zsh("goquery", f"goquery -d {self.db} -i made-e"))
        self.assertIn("sip,dport", self.zsh("goquery", "goquery sip,dpo"))
        self.assertIn("gpctl status", self.zsh("gpctl", "gpctl sta"))
        self.assertIn("gpdb repair --dry-run", self.zsh("gpdb", "gpdb repair --dr"))
        self.assertIn(f"-d {self.db}/", self.zsh("goquery", f"goquery -d {self.dir}/d"))
        self.assertIn(f"-s unix:{self.bin}/", self.zsh("gpctl", f"gpctl -s unix:{self.dir}/b"))
        self.assertIn("-s localhost:8145", self.zsh("gpctl", "gpctl -s localhost:"))
        self.assertIn("-q db1,web1", self.zsh("gpctl", f"gpctl --endpoints {self.hosts} -q db1,we"))

    def test_programs_print_the_scripts(self):
        """source <(goquery completion bash) in a profile, and for zsh also a file of that in $fpath."""
        self.assertEqual(["sip,dip"], self.bash("goquery", "sip,di", source="<(goquery completion bash)"))
        self.assertEqual(["status"], self.bash("gpctl", "st", source="<(gpctl completion bash)"))
        self.assertEqual(["check"], self.bash("gpdb", "ch", source="<(gpdb completion bash)"))
        self.assertIn("sip,dip", self.fish("goquery", "goquery sip,di", source="(goquery completion fish | psub)"))
        self.assertEqual(["status"], self.fish("gpctl", "gpctl sta", source="(gpctl completion fish | psub)"))
        self.assertEqual(["check"], self.fish("gpdb", "gpdb che", source="(gpdb completion fish | psub)"))
        init = f"autoload -Uz compinit; compinit -u -d {self.dir}/zcompdump-2"
        for program, line, want in (("goquery", "goquery sip,dpo", "sip,dport"), ("gpctl", "gpctl sta", "gpctl status"),
                                    ("gpdb", "gpdb repair --dr", "gpdb repair --dry-run")):
            self.assertIn(want, self.zsh(program, line, f"{init}; source <({program} completion zsh)"))
            folder = os.path.join(self.dir, f"fpath-{program}")
            os.mkdir(folder)
            file = f"{program} completion zsh >{folder}/_{program}; fpath=({folder} $fpath); rm -f {self.dir}/zcompdump-2"
            self.assertIn(want, self.zsh(program, line, f"{file}; {init}"))
        for program in (GOQUERY, GPCTL, GPDB):
            done = subprocess.run([program, "completion", "tcsh"], capture_output=True, text=True, check=False)
            self.assertEqual((1, ""), (done.returncode, done.stdout))
            self.assertRegex(done.stderr, "Error running .*zsh")

    def test_every_flag_is_known(self):
        """What completion offers is what the help explains, and both are what the program takes."""
        flags = subprocess.run([GOQUERY, "completion", "flags"], capture_output=True, text=True, check=True).stdout.split()
        for flag in flags:
            done = subprocess.run([GOQUERY, flag], capture_output=True, text=True, check=False)
            self.assertNotIn("unknown flag", done.stderr, flag)
        with open(os.path.join(FOLDER, "gpctl.bash"), encoding="utf-8") as f:
            offered = set(re.findall(r"--[a-z.]*[a-z]\b(?!\.\*)", f.read()))
        helps = "".join(subprocess.run([GPCTL, *words, "--help"], capture_output=True, text=True, check=True).stdout
                        for words in ([], ["status"], ["config"]))
        self.assertEqual(set(), offered - set(re.findall(r"--[a-z.]*[a-z]", helps)))


class FromServers(Shells):
    """Hosts and interfaces of the server that the line names."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = cls.enterClassContext(Lab("alpha", "hub"))
        sensor = Sensor(cls.lab.alpha)
        sensor.start()
        # gamma takes the question and never answers.
        silent = cls.enterClassContext(socket.socket(socket.AF_UNIX))
        silent.bind(os.path.join(cls.lab.dir, "gamma.sock"))
        silent.listen()
        cls.silent = f"unix:{silent.getsockname()}"
        _, path = cls.lab.global_query(cls.lab.hub, {"alpha": sensor.addr, "gamma": cls.silent})
        cls.fleet, cls.sensor = f"unix:{path}", sensor.addr

    def ask(self, *args):
        start = time.monotonic()
        done = subprocess.run([GOQUERY, *args], capture_output=True, text=True, check=True, timeout=20)
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual("", done.stderr)
        return done.stdout.split()

    def test_names_come_from_the_server(self):
        self.assertEqual(["any", "eth0"], self.ask("--query.server.addr", self.sensor, "completion", "ifaces"))
        self.assertEqual(["any", "alpha"], self.ask("--query.server.addr", self.fleet, "completion", "hosts"))
        self.assertEqual(["any", "eth0"], self.ask("--query.server.addr", self.fleet, "completion", "ifaces"))
        self.assertEqual(["any", "eth0"], self.ask("--query.server.addr", self.fleet, "-q", "alpha", "completion", "ifaces"))

    def test_a_server_that_does_not_answer_is_not_told_of(self):
        for addr in (self.silent, "unix:/nonexistent", "localhost:1", "no address"):
            self.assertEqual(["any"], self.ask("--query.server.addr", addr, "completion", "hosts"))

    def test_shells_ask_the_server(self):
        for option in ("--query.server.addr ", "--query.server.addr="):
            line = f"goquery {option}{self.fleet}"
            self.assertEqual(f"{line} -q alpha", self.bash_line(f"{line} -q al"))
            self.assertEqual(f"{line} -q alpha -i eth0", self.bash_line(f"{line} -q alpha -i e"))
            self.assertEqual(["alpha"], self.fish("goquery", f"{line} -q al"))
            self.assertEqual(["eth0"], self.fish("goquery", f"{line} -q alpha -i e"))
            self.assertIn("-q alpha", self.zsh("goquery", f"{line} -q al"))
            self.assertIn("-i eth0", self.zsh("goquery", f"{line} -q alpha -i e"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
