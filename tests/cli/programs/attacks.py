"""Tries everything that a confined program must not do to other programs of its user, and says what came of each attempt.

    attacks.py victim FOLDER          offers itself, and what it has, to the attempts
    attacks.py attempt FOLDER         makes the attempts, one line each: NAME done, or NAME refused: WHY
"""
import ctypes
import json
import os
import signal
import socket
import stat
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
# Numbers of calls that the C library has no names for, which are the same on all machines.
PIDFD_OPEN, PIDFD_GETFD, IO_URING_SETUP = 434, 438, 425
CLONE_NEWUSER, CLONE_NEWNS, PTRACE_SEIZE = 0x10000000, 0x20000, 0x4206
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def called(result):
    if result in (-1, ctypes.c_void_p(-1).value):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def victim(folder):
    secret = open(f"{folder}/secret")
    named = socket.socket(socket.AF_UNIX)
    named.bind(f"{folder}/readable/socket")
    named.listen()
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(b"\0" + folder.encode())
    abstract.listen()
    tcp = socket.create_server(("127.0.0.1", 0))
    memory = called(libc.shmget(0, 4096, 0o1600))
    called(libc.shmat(memory, None, 0))
    # It goes with this process.
    called(libc.shmctl(memory, 0, None))
    offered = {"process": os.getpid(), "file": secret.fileno(), "port": tcp.getsockname()[1], "memory": memory}
    with open(f"{folder}/readable/offered.new", "w") as file:
        json.dump(offered, file)
    os.rename(f"{folder}/readable/offered.new", f"{folder}/readable/offered")
    time.sleep(100000)


def attempts(folder):
    with open(f"{folder}/readable/offered") as file:
        offered = json.load(file)
    process, secret = offered["process"], f"{folder}/secret"

    def through_link():
        os.symlink(secret, "link")
        open("link").read()

    def through_hard_link():
        os.link(secret, "hard")
        open("hard").read()

    def through_folder():
        os.listdir(os.open("../../../../../..", os.O_RDONLY))

    def move_out():
        open("moved", "w").close()
        os.rename("moved", f"{folder}/moved")

    def unix(address):
        socket.socket(socket.AF_UNIX).connect(address)

    def change_mode():
        os.chmod(secret, 0o644)

    def signal_by_descriptor():
        signal.pidfd_send_signal(called(libc.syscall(PIDFD_OPEN, process, 0)), signal.SIGURG)

    def take_descriptor():
        held = called(libc.syscall(PIDFD_OPEN, process, 0))
        called(libc.syscall(PIDFD_GETFD, held, offered["file"], 0))

    def mount():
        # Whoever may mount does it where nobody else sees it.
        if libc.unshare(CLONE_NEWNS) == 0:
            called(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
        os.mkdir("place")
        called(libc.mount(b"tmpfs", b"place", b"tmpfs", 0, None))

    def enter():
        os.close(os.open(f"/proc/{process}/ns/net", os.O_RDONLY))

    def inherited():
        opened = {int(name) for name in os.listdir("/proc/self/fd")} - {0, 1, 2}
        # The folder that is listed.
        if len(opened) <= 1:
            raise OSError(0, "there is none")

    def limit_it():
        import resource
        resource.prlimit(process, resource.RLIMIT_CORE, (0, 0))

    def read_memory():
        buffer = ctypes.create_string_buffer(8)
        with open(f"/proc/{process}/maps") as maps:
            start = int(next(maps).split("-")[0], 16)
        with open(f"/proc/{process}/mem", "rb") as memory:
            memory.seek(start)
            memory.readinto(buffer)

    return {
        "read a file": lambda: open(secret).read(),
        "read it through a link": through_link,
        "read it through a hard link": through_hard_link,
        "read it through the root of another process": lambda: open(f"/proc/{process}/root{secret}").read(),
        "read it through a descriptor of another process": lambda: open(f"/proc/{process}/fd/{offered['file']}").read(),
        "take a descriptor of another process": take_descriptor,
        "list a folder": lambda: os.listdir(folder),
        "list a folder above": through_folder,
        "write to a file": lambda: open(secret, "a").close(),
        "write to a readable file": lambda: open(f"{folder}/readable/offered", "a").close(),
        "truncate a file": lambda: os.truncate(f"{folder}/other", 0),
        "make a file": lambda: open(f"{folder}/readable/new", "w").close(),
        "move a file out": move_out,
        "change a mode": change_mode,
        "change times": lambda: os.utime(secret),
        "add an attribute": lambda: os.setxattr(secret, "user.farrier", b"x"),
        "read the environment of another process": lambda: open(f"/proc/{process}/environ").read(),
        "read the memory of another process": read_memory,
        "debug another process": lambda: called(libc.ptrace(PTRACE_SEIZE, process, None, None)),
        "enter a namespace of another process": enter,
        "signal another process": lambda: os.kill(process, signal.SIGURG),
        "signal another process by descriptor": signal_by_descriptor,
        "limit another process": limit_it,
        "slow another process": lambda: os.setpriority(os.PRIO_PROCESS, process, 1),
        "connect to an abstract socket": lambda: unix(b"\0" + folder.encode()),
        "connect to a socket in a folder": lambda: unix(f"{folder}/readable/socket"),
        "connect to a port of this host": lambda: socket.create_connection(("127.0.0.1", offered["port"]), 5),
        "send to another host": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 9)),
        "attach shared memory": lambda: called(libc.shmat(offered["memory"], None, 0)),
        "use io_uring": lambda: called(libc.syscall(IO_URING_SETUP, 1, ctypes.create_string_buffer(120))),
        "make a namespace": lambda: called(libc.unshare(CLONE_NEWUSER)),
        "mount": mount,
        "change the root": lambda: os.chroot("/"),
        "make a device": lambda: os.mknod("device", stat.S_IFCHR | 0o600, os.makedev(1, 3)),
        "use an inherited descriptor": inherited,
    }


def attempt(folder):
    for name, way in attempts(folder).items():
        # Each in a process of its own: some change the process that makes them.
        child = os.fork()
        if child == 0:
            try:
                way()
                print(f"{name}: done", flush=True)
            except (OSError, ValueError) as error:
                print(f"{name}: refused: {error}", flush=True)
            os._exit(0)
        os.waitpid(child, 0)
    print("whole", flush=True)
    time.sleep(100000)


{"victim": victim, "attempt": attempt}[sys.argv[1]](sys.argv[2])
