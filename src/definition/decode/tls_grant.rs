//! TLS for a probe: `true`, `"insecure"`, or a table that names files.

use std::path::PathBuf;

use crate::definition::grants::{ClientCertificate, TlsGrant};
use crate::definition::node::{Node, ScalarKind, Value};
use crate::definition::reader::{Reader, Table};
use crate::definition::schema;
use crate::report::error::{Code, Problem};

/// Reads `grants.tls`; `None` if the definition does not grant TLS.
pub fn decode(grants: Table<'_>, path: &str, reader: &mut Reader<'_>) -> Option<TlsGrant> {
    let node = grants.get("tls")?;
    let field = format!("{path}.tls");
    if let Value::Table(_) = node.value {
        return files(node, &field, grants.key_span("tls"), reader);
    }
    match node.scalar() {
        Some(scalar) if scalar.kind == ScalarKind::Boolean(true) => Some(TlsGrant::default()),
        Some(scalar) if scalar.kind == ScalarKind::Boolean(false) => None,
        Some(scalar) if scalar.kind == ScalarKind::String && scalar.text == "insecure" => {
            Some(TlsGrant { insecure: true, ..TlsGrant::default() })
        }
        _ => {
            let hint = "Write `true` to verify the server's certificate, `{ ca = \"ca.pem\" }` to verify it with a file of \
                        authorities, or \"insecure\" to accept any.";
            reader.wrong(&field, "true, \"insecure\" or a table", node, hint);
            None
        }
    }
}

fn files(
    node: &Node,
    field: &str,
    span: &std::ops::Range<usize>,
    reader: &mut Reader<'_>,
) -> Option<TlsGrant> {
    let table = reader.table(node, field, schema::Tls::KEYS, span)?;
    let mut file = |key: &str| {
        let text = reader.string(table.get(key)?, &format!("{field}.{key}"))?;
        Some(PathBuf::from(text))
    };
    let (ca, cert, key) = (file("ca"), file("cert"), file("key"));
    let insecure = table.get("insecure");
    let insecure =
        insecure.and_then(|node| reader.boolean(node, &format!("{field}.insecure"))).unwrap_or(false);
    if insecure && ca.is_some() {
        let message = format!("`{field}.ca` has no effect beside `insecure`, which accepts any certificate");
        let problem = Problem::error(Code::ConflictingFields, message).hint("Keep one of the two.");
        reader.report(problem, table.key_span("ca"));
    }
    for (one, other) in [("cert", "key"), ("key", "cert")] {
        if table.get(one).is_some() && table.get(other).is_none() {
            let hint = "A client certificate needs both: `cert = \"client.pem\", key = \"client-key.pem\"`.";
            reader.missing(&format!("{field}.{other}"), hint, table.key_span(one));
        }
    }
    let client = cert.zip(key).map(|(cert, key)| ClientCertificate { cert, key });
    Some(TlsGrant { insecure, ca, client })
}
