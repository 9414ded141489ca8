//! Certificates for the servers that are started here: an authority, and a certificate signed by it.

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// What a server needs to speak TLS, as PEM.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// The certificate that clients are to trust.
    pub(crate) authority: String,
    /// The server's own.
    pub(crate) certificate: String,
    /// The server's private key.
    pub(crate) key: String,
}

/// Makes new ones, good for `localhost` and `127.0.0.1`.
///
/// The server's certificate is not its own authority: rustls refuses one that is.
pub(crate) fn certificates() -> Result<Certificates> {
    make().context("cannot make certificates")
}

fn make() -> Result<Certificates, rcgen::Error> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority
        .distinguished_name
        .push(DnType::CommonName, "walkback tests");
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let mut server = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    server.distinguished_name.push(DnType::CommonName, "localhost");
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &issuer)?;
    Ok(Certificates {
        authority: authority_certificate.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}
