//! nginx with pages of every kind, in clear and with several certificates.

use std::fmt::Write;
use std::net::SocketAddr;

use director_lab::command::bound;
use director_lab::peer::{Daemon, free_port};

use super::ask::local;
use super::authority::{Authority, Certificate};

pub struct Nginx {
    pub clear: SocketAddr,
    _daemon: Daemon,
    _folder: tempfile::TempDir,
}

const PAGES: &str = "
    location = / { return 200 'good'; }
    location = /busy { return 503; }
    location = /auth { root FOLDER; auth_basic x; auth_basic_user_file FOLDER/users; try_files /index =404; }
    location = /header { if ($http_x_probe != 17) { return 400; } return 204; }
    location = /post { if ($request_method != POST) { return 405; } if ($content_length != 5) { return 411; } return 201; }
    location = /head { if ($request_method != HEAD) { return 405; } return 200; }
    location = /host { return 200 \"host=$http_host sni=$ssl_server_name\"; }
    location = /moved { return 301 /; }
    location = /away { return 302 http://www.example.com/; }
    location = /round { return 302 /round; }
    location = /index { root FOLDER; }
    location = /chunked { ssi on; ssi_types *; alias FOLDER/chunked; }
    location = /large { alias FOLDER/large; }
";

impl Nginx {
    /// nginx with a port in clear. `None`, having said so, where it is not installed.
    pub fn start() -> Option<Self> {
        Self::with(&[])
    }

    /// The same with further ports, each with a certificate and further words of its configuration.
    pub fn with(secure: &[(u16, &Certificate, &str)]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().display().to_string();
        for (name, text) in [
            ("users", "bob:{PLAIN}tiger\n".to_owned()),
            ("index", "the index\n".to_owned()),
            ("chunked", "one <!--# echo var=\"request_method\" --> two\n".to_owned()),
            ("large", "0123456789abcde\n".repeat(128 * 1024)),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let port = free_port().unwrap();
        let pages = PAGES.replace("FOLDER", &here);
        let mut servers = format!("server {{ listen 127.0.0.1:{port}; {pages} }}\n");
        for (port, own, more) in secure {
            let (certificate, key) = (own.certificate.display(), own.key.display());
            let versions = if more.contains("ssl_protocols") { "" } else { "ssl_protocols TLSv1.2 TLSv1.3;" };
            writeln!(
                servers,
                "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key}; {versions} {more} {pages} }}"
            )
            .unwrap();
        }
        let config = format!(
            "daemon off; master_process off; pid {here}/pid; error_log stderr crit;
             events {{ worker_connections 512; }}
             http {{ access_log off; client_body_temp_path {here}/a; proxy_temp_path {here}/b; fastcgi_temp_path {here}/c;
               uwsgi_temp_path {here}/d; scgi_temp_path {here}/e;
               {servers} }}"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = bound("nginx");
        command.arg("-c").arg(&file);
        if std::process::Command::new("nginx").arg("-v").output().is_err() {
            eprintln!("skipped: nginx is not installed (Debian package nginx-light)");
            return None;
        }
        let clear = local(port);
        let daemon = Daemon::listening(command, &folder.path().join("log"), clear).unwrap();
        Some(Self { clear, _daemon: daemon, _folder: folder })
    }

    /// nginx for one certificate, and the address of its port.
    pub fn secure(own: &Certificate, more: &str) -> Option<(Self, SocketAddr)> {
        let port = free_port().unwrap();
        Some((Self::with(&[(port, own, more)])?, local(port)))
    }

    /// An authority with a server for `www.example.com`.
    pub fn trusted(more: &str) -> Option<(Authority, Self, SocketAddr)> {
        let authority = Authority::new()?;
        let (nginx, address) = Self::secure(&authority.good("www.example.com"), more)?;
        Some((authority, nginx, address))
    }
}
