//! TLS for a listener that ends it itself, from the files that its configuration names.

use std::path::{Path, PathBuf};

use router_core::config::ListenSection;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
};

/// Why a listener cannot speak TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// One of the two files is named and the other is not.
    #[error("listen.tls_certificate and listen.tls_key belong together")]
    Half,
    /// A file cannot be read, or is no PEM.
    #[error("{} cannot be read as PEM: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The certificate and the key do not fit each other.
    #[error("the certificate and its key do not fit: {0}")]
    Config(#[from] rustls::Error),
}

/// What `listen` says of TLS; `None` where a proxy ends it.
///
/// # Errors
/// [`TlsError`] names the file.
pub fn tls(listen: &ListenSection) -> Result<Option<ServerConfig>, TlsError> {
    let (certificate, key) = match (&listen.tls_certificate, &listen.tls_key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => return Err(TlsError::Half),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| file(certificate, source))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|source| file(key, source))?;
    let config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Some(config))
}

fn file(path: &Path, source: pem::Error) -> TlsError {
    TlsError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_certificate_and_its_key_make_a_listener_speak_tls() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            Some(path)
        };
        let certificate = write("certificate.pem", made.cert.pem());
        let key = write("key.pem", made.signing_key.serialize_pem());
        let foreign = write("foreign.pem", other.serialize_pem());
        let none = ListenSection::default();
        let listen = |tls_certificate: &Option<PathBuf>, tls_key: &Option<PathBuf>| ListenSection {
            tls_certificate: tls_certificate.clone(),
            tls_key: tls_key.clone(),
            ..none.clone()
        };
        assert!(tls(&none).unwrap().is_none());
        assert!(tls(&listen(&certificate, &key)).unwrap().is_some());
        assert!(matches!(tls(&listen(&certificate, &None)), Err(TlsError::Half)));
        assert!(tls(&listen(&key, &key)).is_err());
        let missing = Some(folder.path().join("missing.pem"));
        assert!(matches!(tls(&listen(&missing, &key)), Err(TlsError::File { .. })));
        assert!(matches!(tls(&listen(&certificate, &foreign)), Err(TlsError::Config(_))));
    }
}
