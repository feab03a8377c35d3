//! A server whose certificate is not among those of the system.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use indoc::formatdoc;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::support::crew::{Crew, Ended};

/// Signed by itself, with a key of the curve P-256, for 127.0.0.1. No CA; valid from 2020 to 2120.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBVzCB/6ADAgECAgEBMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCWNyZXcgdGVz
dDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowFDESMBAGA1UEAwwJ
Y3JldyB0ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENn05Em3QN0B4BkC3
eK+io3M6PQ+eSkC8cwxEnpeOeTzDFHss2VGFFKvoZ+FGp67O/vedbH/Djmg1s+z8
Zo+XzKNAMD4wDwYDVR0RBAgwBocEfwAAATAMBgNVHRMBAf8EAjAAMB0GA1UdDgQW
BBRLAwlzxeTfGHCKpd2YBFwVf6UiXDAKBggqhkjOPQQDAgNHADBEAiA/J2Mgp6fS
UVipW61zo/0Feamakq2RmZsjb1353/xHRQIgRlvZjeANuKBwFkoGrJ+iZbvDoWau
IFX+DJQ3OUyh8Bo=
-----END CERTIFICATE-----
";
const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgXVwE42qZKo/2QutN
lI9M4IavYf+WN6dQmtsdGUTKmK6hRANCAAQ2fTkSbdA3QHgGQLd4r6Kjczo9D55K
QLxzDESel455PMMUeyzZUYUUq+hn4Uanrs7+951sf8OOaDWz7Pxmj5fM
-----END PRIVATE KEY-----
";

/// Serves one short answer to each of `connections` over TLS.
fn serve(connections: usize) -> SocketAddr {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let config =
        ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().take(connections).flatten() {
            let tls = ServerConnection::new(config.clone()).unwrap();
            let mut tls = StreamOwned::new(tls, stream);
            // A client that rejects the certificate hangs up here.
            let Ok(1..) = tls.read(&mut [0; 4096]) else { continue };
            let chunk = json!({"choices": [{"index": 0, "delta": {"content": "over TLS"},
                "finish_reason": "stop"}]});
            let body = format!("data: {chunk}\n\ndata: [DONE]\n\n");
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close";
            let length = body.len();
            let answer = format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}");
            tls.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

fn run(bundle: Option<&str>) -> Ended {
    let yaml = formatdoc! {"
        providers: {{mock: {{base_url: 'https://{}/v1'}}}}
        agents: {{a: {{model: mock/m, retries: 2}}}}
    ", serve(1)};
    let crew = Crew::new(yaml);
    let Some(bundle) = bundle else { return crew.run() };
    let file = crew.path("bundle.pem");
    std::fs::write(&file, bundle).unwrap();
    crew.env("SSL_CERT_FILE", file.to_str().unwrap()).run()
}

#[test]
fn a_certificate_that_is_not_trusted_is_named_and_not_retried() {
    let agent = run(None).report(1)["agents"]["a"].clone();
    let (error, message) = (&agent["error"], agent["error"]["message"].as_str().unwrap());
    assert_eq!((&error["kind"], &agent["retries"]), (&json!("network"), &json!(0)), "{agent:#}");
    for words in ["certificate", "if you trust the server", "SSL_CERT_FILE"] {
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_bundle_in_the_environment_makes_a_certificate_trusted() {
    let report = run(Some(CERTIFICATE)).report(0);
    assert_eq!(report["agents"]["a"]["output"], "over TLS");
}
