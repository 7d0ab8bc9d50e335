"""gRPC's own server and health service, from PyPI. Says its port on its first line; then each line of its input,
`SERVICE STATUS`, sets a status and is answered by `set`. With the argument `plain` it has no health service; with `tls
CERTIFICATE KEY` it speaks TLS, with what these files contain."""

import sys
from concurrent import futures
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
servicer = health.HealthServicer()
if sys.argv[1:] != ["plain"]:
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
if sys.argv[1:2] == ["tls"]:
    certificate, key = (Path(name).read_bytes() for name in sys.argv[2:])
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
else:
    port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
for line in sys.stdin:
    service, status = line.rstrip("\n").split(" ")
    servicer.set(service, health_pb2.HealthCheckResponse.ServingStatus.Value(status))
    print("set", flush=True)
