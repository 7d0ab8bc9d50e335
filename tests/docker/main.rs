//! On a real engine: launches, sidecars, readiness, faults. Tests skip themselves, and say so, if there is none.

#[path = "../support/mod.rs"]
mod support;

mod disk_full;
mod docker_api;
mod engine_contract;
mod failure_causes;
mod failure_report;
mod faults;
mod four_servers;
mod images_inside;
mod launch_calls;
mod launch_concurrent;
mod launch_engines;
mod launch_forwards;
mod launch_gateway;
mod launch_harness;
mod launch_instances;
mod launch_keys;
mod launch_network;
mod launch_order;
mod launch_podman;
mod launch_ports;
mod launch_pull;
mod launch_remote;
mod launch_reuse;
mod launch_sessions;
mod launch_swarm;
mod launch_variables;
mod launch_volumes;
mod managing;
mod readiness_custom;
mod readiness_exec;
mod readiness_health;
mod readiness_relay;
mod readiness_tcp;
mod real_servers;
mod stack;
mod test_support;
