//! Host names that software asks for on its own: whoever answers to one gets tokens, passwords or traffic that nobody
//! meant to send there.

/// How far a reserved name reaches.
enum Reach {
    /// This name alone.
    Exact,
    /// This name, and everything beneath it: `x.docker.internal`.
    Domain,
    /// This name, and the same label with a search domain behind it: `wpad.corp.internal`.
    Label,
}

use Reach::{Domain, Exact, Label};

/// The names, in lower case. Beside each group: who asks, and where that is written.
const RESERVED: &[(&str, Reach)] = &[
    // Loopback: RFC 6761, section 6.3; /etc/hosts of Debian, Fedora and macOS.
    ("localhost", Domain),
    ("localhost.localdomain", Exact),
    ("localdomain", Domain),
    ("localhost4", Label),
    ("localhost6", Label),
    ("ip6-localhost", Exact),
    ("ip6-loopback", Exact),
    ("ip6-localnet", Exact),
    ("ip6-mcastprefix", Exact),
    ("ip6-allnodes", Exact),
    ("ip6-allrouters", Exact),
    ("broadcasthost", Exact),
    // Names of systemd's own: nss-myhostname(8), systemd-resolved.service(8).
    ("_gateway", Exact),
    ("_outbound", Exact),
    ("_localdnsstub", Exact),
    ("_localdnsproxy", Exact),
    // Credentials of cloud machines. Google: cloud.google.com/compute/docs/metadata, and `metadata` alone by older client
    // libraries; EC2, OpenStack and CloudStack: cloud-init's DataSourceEc2 (`instance-data`) and DataSourceCloudStack
    // (`data-server`); names of machines: docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html.
    ("metadata", Label),
    ("google.internal", Domain),
    ("instance-data", Label),
    ("data-server", Label),
    ("ec2.internal", Domain),
    ("compute.internal", Domain),
    // The way from a container to its machine. Docker Desktop: docs.docker.com/desktop/features/networking; Podman:
    // podman-run(1), `--add-host`; Lima: lima-vm.io/docs/config/network; Rancher Desktop, OrbStack, k3d and minikube:
    // their networking pages.
    ("docker.internal", Domain),
    ("containers.internal", Domain),
    ("lima.internal", Domain),
    ("rancher-desktop.internal", Domain),
    ("orb.internal", Domain),
    ("k3d.internal", Domain),
    ("minikube.internal", Domain),
    ("host.internal", Exact),
    // Discovery of proxies and tunnels: draft-ietf-wrec-wpad-01; RFC 5214, section 8.3; both on the block list of
    // Windows' name servers. `proxy` is the customary name in http_proxy.
    ("wpad", Label),
    ("isatap", Label),
    ("proxy", Exact),
    // Set-up of mail clients, which send the password along: Microsoft's Autodiscover, Thunderbird's autoconfig.
    ("autodiscover", Label),
    ("autoconfig", Label),
    // Defaults of clients where nothing is configured: the entrypoint of the image `docker:cli` (tcp://docker:2376), the
    // Kubernetes API (kubernetes.default.svc), Puppet's `server`, Salt's `master`, sendmail's `mailhost`, BSD's syslog.
    ("docker", Exact),
    ("kubernetes", Domain),
    ("kubernetes.default", Domain),
    ("puppet", Exact),
    ("salt", Exact),
    ("mailhost", Exact),
    ("loghost", Exact),
];

/// Whether software asks for a host name on its own; names are compared as name servers compare them.
pub fn is_asked_for(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    RESERVED.iter().any(|(name, reach)| {
        host == *name
            || match reach {
                Exact => false,
                Domain => host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')),
                Label => host.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')),
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for() {
        for (host, expected) in [
            ("metadata", true),
            ("METADATA", true),
            ("metadata.google.internal", true),
            ("Metadata.Google.Internal", true),
            ("x.google.internal", true),
            ("metadata.corp.internal", true),
            ("instance-data", true),
            ("instance-data.ec2.internal", true),
            ("host.docker.internal", true),
            ("gateway.docker.internal", true),
            ("kubernetes.docker.internal", true),
            ("host.containers.internal", true),
            ("wpad", true),
            ("wpad.test", true),
            ("isatap", true),
            ("proxy", true),
            ("localhost", true),
            ("db.localhost", true),
            ("localhost.localdomain", true),
            ("_gateway", true),
            ("kubernetes", true),
            ("db", false),
            ("db.test", false),
            ("db.internal", false),
            ("proxy.test", false),
            ("metadata-store", false),
            ("mymetadata", false),
            ("notdocker.internal", false),
            ("localhost.test", false),
        ] {
            assert_eq!(is_asked_for(host), expected, "{host}");
        }
    }

    #[test]
    fn the_list_is_in_lower_case_and_holds_each_name_once() {
        let mut names: Vec<&str> = RESERVED.iter().map(|(name, _)| *name).collect();
        assert!(names.iter().all(|name| *name == name.to_ascii_lowercase()), "{names:?}");
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
