//! A handshake that checks who it is with.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use walkback_services::{Family, Server};

use crate::block;

/// The certificate is good for the address, by the authority that the server tells, and by no other.
pub(crate) fn verified(server: &Server) {
    let ca = server.tls_ca_file().expect("the server tells its authority");
    let connect = |roots: &Path| match server.service().family() {
        Family::Postgres => block(postgres(server.url(), roots)),
        _ => block(mysql(server.url(), roots)),
    };
    connect(ca).expect("a handshake");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let other = folder.path().join("other.pem");
    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    std::fs::write(&other, stranger.cert.pem()).expect("a file");
    connect(&other).expect_err("a stranger vouches for nobody");
}

async fn postgres(url: &str, roots: &Path) -> Result<(), String> {
    let mut store = rustls::RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(roots).map_err(|error| error.to_string())?;
    store.add(certificate).map_err(|error| error.to_string())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(store)
        .with_no_client_auth();
    let mut options: tokio_postgres::Config = url.parse().expect("a URL of PostgreSQL");
    options.ssl_mode(tokio_postgres::config::SslMode::Require);
    let connected = options
        .connect(tokio_postgres_rustls::MakeRustlsConnect::new(config))
        .await;
    connected.map(drop).map_err(|error| error.to_string())
}

async fn mysql(url: &str, roots: &Path) -> Result<(), String> {
    let options = mysql_async::Opts::from_url(url).expect("a URL of MySQL");
    let tls = mysql_async::SslOpts::default()
        .with_root_certs(vec![roots.to_path_buf().into()])
        .with_disable_built_in_roots(true);
    let options = mysql_async::OptsBuilder::from_opts(options)
        .prefer_socket(false)
        .ssl_opts(tls);
    let connection = mysql_async::Conn::new(options)
        .await
        .map_err(|error| error.to_string())?;
    connection.disconnect().await.map_err(|error| error.to_string())
}
