"""gRPC's own server and health service, from PyPI. Says its port on its first line; then each line of its input,
`SERVICE STATUS`, sets a status and is answered by `set`. With the argument `plain` it has no health service."""

import sys
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
servicer = health.HealthServicer()
if sys.argv[1:] != ["plain"]:
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
for line in sys.stdin:
    service, status = line.rstrip("\n").split(" ")
    servicer.set(service, health_pb2.HealthCheckResponse.ServingStatus.Value(status))
    print("set", flush=True)
