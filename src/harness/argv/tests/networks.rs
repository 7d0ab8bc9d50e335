//! Every spelling of a harness's network.

use super::super::Harness;
use super::{check, parse_line};
use crate::report::error::Code;

#[test]
fn networks() {
    check(&[
        ("docker run --network n img", "run@1 img@4 net=n"),
        ("docker run --network=n img", "run@1 img@3 net=n"),
        ("docker run --net n img", "run@1 img@4 net=n"),
        ("docker run --net=n img", "run@1 img@3 net=n"),
        ("docker run --network name=n img", "run@1 img@4 net=n"),
        ("docker run --network=name=n,alias=a,ip=10.0.0.2 img", "run@1 img@3 net=n"),
        ("docker run --net=alias=a,NAME=n img", "run@1 img@3 net=n"),
        ("docker run --network=\"name=n\",alias=a img", "run@1 img@3 net=n"),
        ("docker run --network=name=n,name=m img", "run@1 img@3 net=m"),
        ("docker run --network=name=n,\"driver-opt=a=1,b\" img", "run@1 img@3 net=n"),
        ("docker run --network a --net=b --network name=c img", "run@1 img@7 net=a+b+c"),
        ("docker run --network 0123456789ab img", "run@1 img@4 net=0123456789ab"),
        ("docker run --network-alias x --net-alias=y img", "run@1 img@5"),
        ("docker run --network host img", "run@1 img@4 net:host"),
        ("docker run --net=host img", "run@1 img@3 net:host"),
        ("docker run --network name=host img", "run@1 img@4 net:host"),
        ("docker run --net Host img", "run@1 img@4 net=Host"),
        ("docker run --network none img", "run@1 img@4 net:none"),
        ("docker run --network bridge img", "run@1 img@4 net:bridge"),
        ("docker run --network default img", "run@1 img@4 net:bridge"),
        ("docker run --network container:db img", "run@1 img@4 net:of=db"),
        ("docker run --net=name=container:db img", "run@1 img@3 net:of=db"),
        ("docker create --network n img", "create@1 img@4 net=n"),
        ("docker run img --network n", "run@1 img@2"),
        ("docker run --network= img", "error: a `--network` of the harness names no network"),
        ("docker run --network '' img", "error: a `--network` of the harness names no network"),
        ("docker run --network alias=a img", "error: a `--network` of the harness names no network"),
        ("docker run --network name=,alias=a img", "error: a `--network` of the harness names no network"),
        ("docker run --network container: img", "error: a `--network` of the harness names no network"),
        ("docker run --network n --network n img", "error: the harness names the network `n` twice"),
        (
            "docker run --network n --network host img",
            "error: the harness combines `--network host` with another network, which the client does not accept",
        ),
        ("docker run --network pasta:-t img", "error: Docker has no network mode `pasta:-t`"),
        ("docker run --network ns:/x img", "error: Docker has no network mode `ns:/x`"),
        ("docker run --network slirp4netns:port img", "error: Docker has no network mode `slirp4netns:port`"),
    ]);
}

#[test]
fn networks_of_podman() {
    check(&[
        ("podman run img", "run@1 img@2 podman"),
        ("podman run --network n img", "run@1 img@4 net=n podman"),
        ("podman run --net=n:alias=a,ip=10.0.0.2 img", "run@1 img@3 net=n podman"),
        ("podman run --network a,b --network c:alias=x img", "run@1 img@6 net=a+b+c podman"),
        ("podman run --network a=b img", "run@1 img@4 net=a=b podman"),
        ("podman run --network host img", "run@1 img@4 net:host podman"),
        ("podman run --network none img", "run@1 img@4 net:none podman"),
        ("podman run --network bridge img", "run@1 img@4 net:bridge podman"),
        ("podman run --network bridge:ip=10.88.0.9 img", "run@1 img@4 net:bridge podman"),
        ("podman run --network private img", "run@1 img@4 net:bridge podman"),
        ("podman run --network container:db img", "run@1 img@4 net:of=db podman"),
        ("podman run --network slirp4netns:mtu=1 img", "run@1 img@4 net:alone=slirp4netns:mtu=1 podman"),
        ("podman run --network pasta img", "run@1 img@4 net:alone=pasta podman"),
        ("podman run --network ns:/x img", "run@1 img@4 net:alone=ns:/x podman"),
        ("podman run --pod new:p img", "run@1 img@4 net:pod=new:p podman"),
        ("podman run --network '' img", "error: a `--network` of the harness names no network"),
        ("podman run --network n --network n:alias=a img", "error: the harness names the network `n` twice"),
        (
            "podman run --network n --network pasta img",
            "error: the harness combines `--network pasta` with another network, which the client does not accept",
        ),
    ]);
}

#[test]
fn networks_without_a_way_to_sidecars_are_refused() {
    for (network, is_refused) in [
        ("docker run", false),
        ("docker run --network n", false),
        ("docker run --network host", false),
        ("docker run --network none", true),
        ("docker run --network bridge", true),
        ("docker run --network container:db", true),
        ("podman run --network n", false),
        ("podman run --network pasta", true),
        ("podman run --pod p", true),
    ] {
        let Ok(Harness::Docker(run)) = parse_line(&format!("{network} img")) else {
            panic!("`{network}` is read");
        };
        let refusal = run.network().refusal();
        assert_eq!(refusal.is_some(), is_refused, "{network}");
        assert!(
            refusal.is_none_or(|problem| problem.code == Code::NetworkUnusable && !problem.hints.is_empty())
        );
    }
}
