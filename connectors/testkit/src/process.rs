//! What every test server needs of the machine: a user to run as, a port, files, a certificate.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// A user and a group by number; `None` is ourselves.
pub(crate) type Owner = Option<(u32, u32)>;

/// Database servers refuse to run as root: there the first of these users that exists runs it and owns the directory.
pub(crate) fn server_owner(directory: &Path, users: &[&str]) -> Result<Owner, String> {
    let metadata = fs::metadata(directory).map_err(|error| error.to_string())?;
    if metadata.uid() != 0 {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").map_err(|error| format!("`/etc/passwd`: {error}"))?;
    let of_user = |user: &&str| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next() != Some(*user) {
                return None;
            }
            Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
        })
    };
    let owner = users.iter().find_map(of_user);
    let (user, group) =
        owner.ok_or_else(|| format!("no server runs as root, and there is no user `{}`", users.join("` or `")))?;
    chown(directory, Some(user), Some(group)).map_err(|error| error.to_string())?;
    Ok(Some((user, group)))
}

pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

pub(crate) fn write_file(path: &Path, text: &str, owner: Owner) -> Result<(), String> {
    let told = |error: std::io::Error| format!("`{}`: {error}", path.display());
    fs::write(path, text).map_err(told)?;
    if let Some((user, group)) = owner {
        chown(path, Some(user), Some(group)).map_err(told)?;
    }
    Ok(())
}

pub(crate) fn run(mut command: Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{program}` failed: {}", String::from_utf8_lossy(&output.stderr)))
}

/// `ca.crt`, `server.crt` and `server.key`: an authority and a certificate it signed, made out to `localhost` and
/// `127.0.0.1`. rustls takes no authority's certificate as a server's own.
pub(crate) fn make_certificates(root: &Path, owner: Owner) -> Result<(), String> {
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.current_dir(root).args(arguments);
        if let Some((user, group)) = owner {
            command.uid(user).gid(group);
        }
        run(command)
    };
    let settings = "[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = wayleave test\n\
                    [authority]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = keyCertSign\n\
                    subjectKeyIdentifier = hash\n\
                    [server]\nbasicConstraints = critical, CA:FALSE\n\
                    subjectAltName = DNS:localhost, IP:127.0.0.1\n";
    write_file(&root.join("openssl.cnf"), settings, owner)?;
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "openssl.cnf"];
    let authority = ["req", "-x509", "-days", "2", "-extensions", "authority"];
    openssl(&[&authority[..], &key, &["-keyout", "ca.key", "-out", "ca.crt"]].concat())?;
    let named = ["-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"];
    openssl(&[&["req"][..], &key, &named].concat())?;
    let signing = ["x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key"];
    let extensions = ["-CAcreateserial", "-extfile", "openssl.cnf", "-extensions", "server", "-out", "server.crt"];
    openssl(&[&signing[..], &extensions].concat())?;
    fs::set_permissions(root.join("server.key"), fs::Permissions::from_mode(0o600))
        .map_err(|error| format!("the server's key: {error}"))
}
