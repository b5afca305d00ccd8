//! An authority and the certificates that it signs, made by openssl.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use director_lab::command::output;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

pub struct Authority {
    folder: tempfile::TempDir,
}

/// Certificate and key in PEM files.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Certificate {
    /// Both as text.
    pub fn pem(&self) -> (String, String) {
        (read(&self.certificate), read(&self.key))
    }

    /// A server that shows it, and wants none.
    pub fn server(&self) -> Arc<ServerConfig> {
        let certificate = CertificateDer::from_pem_file(&self.certificate).unwrap();
        let key = PrivateKeyDer::from_pem_file(&self.key).unwrap();
        let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
        Arc::new(server.unwrap())
    }
}

impl Authority {
    /// `None`, having said so, without openssl.
    pub fn new() -> Option<Self> {
        if output("openssl", &["version"]).is_err() {
            eprintln!("skipped: openssl is not installed");
            return None;
        }
        let authority = Self { folder: tempfile::tempdir().unwrap() };
        let path = |name: &str| authority.path(name).display().to_string();
        let (key, certificate) = (path("ca.key"), path("ca.pem"));
        // No two have the same name.
        let subject = format!("/CN=authority in {}", authority.folder.path().file_name().unwrap().display());
        let mut arguments = vec!["req", "-x509", "-days", "30", "-subj", &subject];
        arguments.extend(KEY);
        arguments.extend(["-keyout", &key, "-out", &certificate]);
        output("openssl", &arguments).unwrap();
        let config = format!(
            "[ca]\ndefault_ca = it\n[it]\ndatabase = {0}/index\nserial = {0}/serial\nnew_certs_dir = {0}\nunique_subject = no\n\
             certificate = {0}/ca.pem\nprivate_key = {0}/ca.key\ndefault_md = sha256\npolicy = any\ncopy_extensions = copy\n\
             [any]\ncommonName = supplied\n",
            authority.folder.path().display()
        );
        for (name, text) in [("ca.conf", config.as_str()), ("index", ""), ("serial", "01\n")] {
            std::fs::write(authority.path(name), text).unwrap();
        }
        Some(authority)
    }

    /// Its own certificate in PEM.
    pub fn pem(&self) -> String {
        read(&self.path("ca.pem"))
    }

    /// The file of its own certificate.
    pub fn file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The file of its own key.
    pub fn key(&self) -> PathBuf {
        self.path("ca.key")
    }

    /// A certificate for `name`, valid from `from` until `to` as date(1) reads them: `now`, `6 days ago`.
    pub fn sign(&self, name: &str, from: &str, to: &str) -> Certificate {
        let tag = format!("{name}-{}", std::fs::read_to_string(self.path("serial")).unwrap().trim());
        let file = |end: &str| self.path(&format!("{tag}.{end}"));
        let text = |path: PathBuf| path.display().to_string();
        let (key, request, signed) = (text(file("key")), text(file("csr")), text(file("pem")));
        let (subject, names) = (format!("/CN={name}"), format!("subjectAltName=DNS:{name}"));
        let mut arguments = vec!["req", "-new", "-subj", &subject, "-addext", &names];
        arguments.extend(KEY);
        arguments.extend(["-keyout", &key, "-out", &request]);
        output("openssl", &arguments).unwrap();
        let date =
            |when: &str| output("date", &["-u", "-d", when, "+%Y%m%d%H%M%SZ"]).unwrap().trim().to_owned();
        let (from, to, config) = (date(from), date(to), text(self.path("ca.conf")));
        let dates = ["-startdate", &from, "-enddate", &to];
        let mut arguments =
            vec!["ca", "-batch", "-notext", "-config", &config, "-in", &request, "-out", &signed];
        arguments.extend(dates);
        output("openssl", &arguments).unwrap();
        Certificate { certificate: file("pem"), key: file("key") }
    }

    /// A certificate that is good for years.
    pub fn good(&self, name: &str) -> Certificate {
        self.sign(name, "1 day ago", "3 years")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
