//! Where a container's processes listen: what a refused dial is explained with.

use std::io::{BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use procfs_core::net::{TcpNetEntries, TcpState};
use procfs_core::{ExplicitSystemInfo, FromBufReadSI};

use crate::engine::{Engine, ExecRequest};
use crate::plan::instance::Instance;

/// The kernel's tables of TCP sockets.
const TABLES: [&str; 2] = ["net/tcp", "net/tcp6"];
/// Bytes of each table that are read.
const TABLE_BYTES: usize = 256 << 10;
/// Where the engine's own resolver listens inside every container on a network of its own.
const RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// Every address that something in the container listens on; `None` if that cannot be told. Where its process can be
/// seen the kernel says so; elsewhere the container's `cat` does, if its image has one.
pub async fn of(engine: &dyn Engine, container: &Instance, of_this_host: bool) -> Option<Vec<SocketAddr>> {
    if !engine.capabilities().own_network {
        // Most of what listens there is others'.
        return None;
    }
    let mut found = Vec::new();
    if let Some(process) = container.visible_process().filter(|_| of_this_host) {
        for table in TABLES {
            let file = std::fs::File::open(format!("/proc/{}/{table}", process.as_raw_nonzero())).ok()?;
            found.extend(listening(file.take(TABLE_BYTES as u64))?);
        }
    } else {
        let mut is_told = false;
        for table in TABLES {
            let arguments = vec!["cat".to_owned(), format!("/proc/{table}")];
            let request = ExecRequest { arguments, output_limit: TABLE_BYTES };
            let ended = engine.exec()?.exec(&container.id, &request).await.ok()?;
            if ended.exit_code == 0 {
                is_told = true;
                found.extend(listening(ended.stdout.as_slice())?);
            }
        }
        // Without a `cat` in its image nothing is known, which is not that nothing listens.
        if !is_told {
            return None;
        }
    }
    found.sort_unstable();
    found.dedup();
    Some(found)
}

/// What a table of the kernel's says; none where it is no such table.
pub(crate) fn listening(table: impl Read) -> Option<Vec<SocketAddr>> {
    let system = ExplicitSystemInfo {
        boot_time_secs: 0,
        ticks_per_second: 0,
        page_size: 0,
        is_little_endian: cfg!(target_endian = "little"),
    };
    let TcpNetEntries(entries) = TcpNetEntries::from_buf_read(BufReader::new(table), &system).ok()?;
    let listeners = entries.into_iter().filter(|entry| entry.state == TcpState::Listen);
    Some(listeners.map(|entry| entry.local_address).filter(|address| address.ip() != RESOLVER).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::docker::Docker;
    use crate::engine::docker::api::ContainerSpec;
    use crate::engine::docker::double::{Double, DoubleImage, Run};

    #[tokio::test]
    async fn an_image_without_cat_tells_nothing() {
        for (exit_code, expected) in [(127, None), (0, Some(Vec::new()))] {
            let engine = Double::new();
            let container = engine.change(|world| {
                let run = move |arguments: &[String]| match arguments {
                    [program, ..] if program == "cat" => Run::exit(exit_code),
                    _ => Run::forever(),
                };
                world.create_network("net", &std::collections::BTreeMap::new());
                world.add_image("image:1", DoubleImage::new(run));
                let (name, image, network) = ("x".to_owned(), "image:1".to_owned(), "net".to_owned());
                world
                    .create(&ContainerSpec { name, image, network, ..ContainerSpec::default() })
                    .expect("made");
                world.start_now("x").expect("started");
                world.container("x").expect("it runs")
            });
            let engine = Docker::over(std::sync::Arc::new(engine), true);
            assert_eq!(of(&engine, &container.instance(), false).await, expected, "{exit_code}");
        }
    }

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
        0: 00000000:1B58 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0\n   \
        1: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0\n   \
        2: 0B00007F:9C41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 13 1 0 100 0 0 10 0\n   \
        3: 0200A8C0:1B58 0100A8C0:B2C4 01 00000000:00000000 00:00000000 00000000     0        0 14 1 0 100 0 0 10 0\n";

    #[test]
    fn listeners_are_read_and_the_resolver_is_not_one() {
        let found = listening(TABLE.as_bytes()).expect("a table");
        let expected = [SocketAddr::from(([0, 0, 0, 0], 7000)), SocketAddr::from(([127, 0, 0, 1], 5432))];
        assert_eq!(found, expected);
        assert_eq!(listening("nothing\n".as_bytes()), Some(Vec::new()));
        assert_eq!(listening("head\nnonsense\n".as_bytes()), None);
    }
}
