//! TLS as libpq's `sslmode` asks for it, by rustls.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;
use walkback_core::{Error, ErrorKind, Result};

use crate::config::{Config, SslMode};

/// Makes what opens TLS on a connection.
pub(crate) fn connector(config: &Config) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(config, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal("TLS cannot be set up").with_source(error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let client = match (&config.ssl_certificate, &config.ssl_key) {
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| unusable(certificate, &error))?,
        (None, None) => builder.with_no_client_auth(),
        _ => {
            return Err(Error::config(
                "`sslcert` and `sslkey` belong together: one of them is missing",
            ));
        }
    };
    Ok(MakeRustlsConnect::new(client))
}

/// How far a server's certificate is looked at.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Checks who has signed it; `None` believes everybody.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Whether it must be for the host's name as well.
    name: bool,
}

fn verifier(config: &Config, provider: &Arc<CryptoProvider>) -> Result<Verifier> {
    let is_checked = match config.ssl_mode {
        SslMode::VerifyCa | SslMode::VerifyFull => true,
        // As libpq: with authorities at hand, `require` checks them too.
        SslMode::Require => config.ssl_root.is_some(),
        SslMode::Disable | SslMode::Allow | SslMode::Prefer => false,
    };
    let chain =
        if is_checked {
            let roots = Arc::new(roots(config)?);
            let built = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
            Some(built.map_err(|error| {
                Error::config("the authorities for TLS cannot be used").with_source(error)
            })?)
        } else {
            None
        };
    Ok(Verifier {
        provider: Arc::clone(provider),
        chain,
        name: config.ssl_mode == SslMode::VerifyFull,
    })
}

fn roots(config: &Config) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match config.ssl_root.as_deref() {
        Some(file) if file != Path::new("system") => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| unusable(file, &error))?;
            }
        }
        _ => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    if roots.is_empty() {
        return Err(
            Error::config("no authority is known that could have signed the server's certificate")
                .hint("name the file of one: `sslrootcert=ca.pem` in the URL"),
        );
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(Error::config(format!(
            "there is no certificate in `{}`",
            file.display()
        ))),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unreadable(file, error)),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| unreadable(file, error))
}

fn unreadable(file: &Path, error: rustls::pki_types::pem::Error) -> Error {
    match error {
        rustls::pki_types::pem::Error::Io(error) => Error::io("read", file, error),
        error => Error::new(
            ErrorKind::Config,
            format!("`{}` is not a PEM file", file.display()),
        )
        .with_source(std::io::Error::other(error.to_string())),
    }
}

fn unusable(file: &Path, error: &rustls::Error) -> Error {
    Error::config(format!("what is in `{}` cannot be used", file.display()))
        .with_source(std::io::Error::other(error.to_string()))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        match chain.verify_server_cert(certificate, intermediates, host, response, now) {
            // The name is looked at last: whoever fails there has passed everything else.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
