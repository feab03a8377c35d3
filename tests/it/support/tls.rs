//! A server behind TLS, also behind a proxy, with a certificate that the system does not trust.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Signed by itself, with a key of the curve P-256, for 127.0.0.1 and openrouter.ai. No CA; valid
/// from 2020 to 2120.
pub const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBdjCCARugAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAljcmV3IHRl
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWNyZXcgdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLSk6xzRhbKicCWW
iSfzZ1tFlVBxaDLu7gyOA7+8NbEs29y5H5wdPp8bz3kfWb8FJfsCrokTCYrmEJTC
7SSJcJ2jXDBaMB4GA1UdEQQXMBWHBH8AAAGCDW9wZW5yb3V0ZXIuYWkwCQYDVR0T
BAIwADAOBgNVHQ8BAf8EBAMCB4AwHQYDVR0OBBYEFI11yqE052IAC53mIzow0Yk5
k+VvMAoGCCqGSM49BAMCA0kAMEYCIQC9xInyC2IfknBGDdSRqsWC+P+ei1BkhM1x
TlsBl5k9SgIhAMVrRBMPL967lHRKGJTKg9/QWOaNw1XNCOVyguvtmMFg
-----END CERTIFICATE-----
";
const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQghdy6hTias/H2hU7D
wzr8WvPmKntR4XQvVvXZ9bo+hFihRANCAAS0pOsc0YWyonAllokn82dbRZVQcWgy
7u4MjgO/vDWxLNvcuR+cHT6fG895H1m/BSX7Aq6JEwmK5hCUwu0kiXCd
-----END PRIVATE KEY-----
";

/// Serves this response, head and body, to every connection. One may begin with a request for a
/// tunnel, as to a proxy.
pub fn serve(response: String) -> SocketAddr {
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
        for mut stream in listener.incoming().flatten() {
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            open_tunnel(&mut stream);
            let tls = ServerConnection::new(config.clone()).unwrap();
            let mut tls = StreamOwned::new(tls, stream);
            // A client that rejects the certificate hangs up here.
            let Ok(1..) = tls.read(&mut [0; 4096]) else { continue };
            // Then it hangs up. Before, the rest of its request would reset the connection.
            if tls.write_all(response.as_bytes()).is_ok() {
                while let Ok(1..) = tls.read(&mut [0; 4096]) {}
            }
        }
    });
    address
}

/// Answers a request for a tunnel, if the stream begins with one.
fn open_tunnel(stream: &mut TcpStream) {
    let mut first = [0];
    if stream.peek(&mut first).is_err() || first != *b"C" {
        return;
    }
    // TLS begins after the answer only, so nothing else is read here.
    let mut lines = BufReader::new(&*stream).lines();
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
}

/// An HTTP response that ends its connection.
pub fn response(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}
