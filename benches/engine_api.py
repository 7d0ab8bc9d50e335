"""An engine's API, for the benchmarks: calls over its socket, TLS or SSH, as the docker client's variables name it. Standard
library only."""

import hashlib
import http.client
import io
import json
import os
import pathlib
import socket
import ssl
import subprocess
import tarfile
import tempfile
import time
import urllib.parse

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
JSON = {"Content-Type": "application/json"}


class Refused(RuntimeError):
    """The engine answered with an error."""

    def __init__(self, method, path, status, text):
        super().__init__(f"{method} {path}: {status} {text}")
        self.status = status


class Way:
    """How the engine of an address is reached. For SSH it opens one `ssh`, which forwards a socket; closing it ends that."""

    def __init__(self, address=None):
        self.address = address or os.environ.get("DOCKER_HOST") or DEFAULT_ADDRESS
        parts = urllib.parse.urlsplit(self.address)
        self.scheme, self.ssh, self.folder, self.encryption = parts.scheme, None, None, None
        self.host, self.port, self.path = parts.hostname, parts.port, parts.path
        self.user = parts.username
        if self.scheme == "tcp" and os.environ.get("DOCKER_TLS_VERIFY"):
            folder = pathlib.Path(os.environ.get("DOCKER_CERT_PATH") or pathlib.Path.home() / ".docker")
            self.encryption = ssl.create_default_context(cafile=folder / "ca.pem")
            self.encryption.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        if self.scheme == "ssh":
            self.open_ssh()

    def open_ssh(self):
        self.folder = tempfile.TemporaryDirectory(prefix="farrier-bench-ssh-")
        self.path = f"{self.folder.name}/engine"
        socket_there = urllib.parse.urlsplit(self.address).path.rstrip("/") or "/var/run/docker.sock"
        words = ["ssh", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-N", "-T", "-L", f"{self.path}:{socket_there}"]
        words += [*(["-p", str(self.port)] if self.port else []), *(["-l", self.user] if self.user else []), "--", self.host]
        self.ssh = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not os.path.exists(self.path):
            if self.ssh.poll() is not None:
                raise RuntimeError(f"ssh to {self.host} ended with {self.ssh.returncode}")
            time.sleep(0.001)

    def connect(self):
        if self.scheme in ("unix", "ssh"):
            deadline = time.monotonic() + 1
            while True:
                connection = socket.socket(socket.AF_UNIX)
                try:
                    connection.connect(self.path)
                    return connection
                except ConnectionRefusedError:
                    # The socket of a new `ssh` exists before somebody listens.
                    connection.close()
                    if not self.ssh or time.monotonic() > deadline:
                        raise
                    time.sleep(0.001)
        connection = socket.create_connection((self.host, self.port or (2376 if self.encryption else 2375)))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.encryption.wrap_socket(connection, server_hostname=self.host) if self.encryption else connection

    def close(self):
        if self.ssh:
            self.ssh.terminate()
            self.ssh.wait()
            self.folder.cleanup()
            self.ssh = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Engine(http.client.HTTPConnection):
    """One connection to an engine, kept from call to call."""

    def __init__(self, way=None):
        super().__init__("localhost")
        self.way = way or Way()

    def connect(self):
        self.sock = self.way.connect()

    def call(self, method, path, body=None):
        payload = None if body is None else json.dumps(body)
        return self.send_bytes(method, path, payload, JSON if payload else {})

    def send_bytes(self, method, path, payload, headers):
        self.request(method, path, payload, headers)
        answer = self.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise Refused(method, path, answer.status, text.decode(errors="replace"))
        is_json = text and answer.headers.get("Content-Type", "").startswith("application/json")
        # A progress report is one document a line.
        return json.loads(text) if is_json and b"\n" not in text.strip() else None

    def find(self, kind, **filters):
        """Lists containers, services or tasks that these filters let through."""
        query = urllib.parse.quote(json.dumps({key: [value] if isinstance(value, str) else value for key, value in filters.items()}))
        everything = "all=1&" if kind == "containers/json" else ""
        return self.call("GET", f"/{kind}?{everything}filters={query}") or []

    def run_to_end(self, path):
        """A request whose answer is a stream of what was written, up to its end."""
        self.request("POST", path, json.dumps({"Detach": False, "Tty": False}), JSON)
        self.getresponse().read()

    def attach(self, container):
        """The socket that carries a container's standard streams from now on."""
        headers = {"Upgrade": "tcp", "Connection": "Upgrade", "Content-Length": "0"}
        self.request("POST", f"/containers/{container}/attach?stream=1&stdin=1&stdout=1", None, headers)
        carrying = self.sock
        answer = self.getresponse()
        if answer.status not in (101, 200):
            raise Refused("POST", f"/containers/{container}/attach", answer.status, "")
        return carrying, answer


def archive_of(image, programs, entrypoint):
    """An archive as `docker save` writes it, of an image that holds these programs and nothing else. Engines that load it have
    the same image under the same ID."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for program in programs:
            add(tar, program.name, program.read_bytes(), 0o755)
    layer = layer.getvalue()
    configuration = json.dumps({
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine), "os": "linux",
        "config": {"Entrypoint": entrypoint}, "created": "1970-01-01T00:00:00Z",
        "history": [{"created": "1970-01-01T00:00:00Z"}],
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}}).encode()
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        add(tar, name, configuration)
        add(tar, "layer.tar", layer)
        add(tar, "manifest.json", json.dumps([{"Config": name, "RepoTags": [image], "Layers": ["layer.tar"]}]).encode())
    return whole.getvalue()


def add(tar, name, content, mode=0o644):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def build(source, program):
    """Compiles one of the small programs that need nothing but std, so that it runs in an empty image."""
    run(["rustc", "--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "panic=abort", "-o", program, source])


def run(arguments, **options):
    done = subprocess.run(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)
    if done.returncode != 0:
        command = " ".join(map(str, arguments))
        raise RuntimeError(f"`{command}` ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done


def dial(address, port, deadline):
    """Dials until somebody accepts, without a pause that would be measured."""
    while time.monotonic() < deadline:
        try:
            socket.create_connection((address, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.001)
    raise RuntimeError(f"{address}:{port} never accepted")
