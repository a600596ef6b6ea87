//! Alerts: who owns an agreement is told at once when its consent is passed over in an emergency.
//!
//! In: an alert. Out: a file in a directory that something else watches, or a command of the configuration that was given it.
//!
//! INVARIANT: where telling returns `Ok`, the alert is on the disk, or the command has taken it: the engine releases nothing
//! before. It holds no row, no SQL and no secret.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::config::AlertConfig;

/// How long a command may take: somebody waits in an emergency.
const COMMAND_DEADLINE: Duration = Duration::from_secs(10);

/// What an owner is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// `break-glass`.
    pub kind: &'static str,
    /// Names the emergency; `wayleave audit review` closes it.
    pub id: String,
    pub agreement: String,
    pub owner: String,
    pub user: String,
    pub organisation: String,
    pub role: String,
    pub purpose: String,
    pub case_reference: Option<String>,
    pub reason: Option<String>,
    /// The first query of it.
    pub query_id: String,
    /// RFC 3339.
    pub at: String,
    pub until: String,
}

/// Tells owners, of each emergency once.
#[derive(Debug)]
pub struct Alerts {
    channel: Option<AlertConfig>,
    /// Emergency and agreement.
    told: Mutex<HashSet<(String, String)>>,
}

impl Alerts {
    pub fn new(channel: Option<AlertConfig>) -> Self {
        Self { channel, told: Mutex::default() }
    }

    /// Whether there is any way to tell.
    pub fn is_configured(&self) -> bool {
        self.channel.is_some()
    }

    /// Tells an owner, unless this emergency has been told already.
    ///
    /// # Errors
    /// Why the alert could not be handed over, for operators.
    pub async fn tell(&self, alert: &Alert) -> Result<(), String> {
        // Held meanwhile: a second query of the emergency waits until the first has told.
        let mut told = self.told.lock().await;
        let of = (alert.id.clone(), alert.agreement.clone());
        if told.contains(&of) {
            return Ok(());
        }
        let text = serde_json::to_string(alert).map_err(|error| error.to_string())?;
        match &self.channel {
            None => return Err("the configuration has no `[alerts]`: write `directory` or `command`".to_owned()),
            Some(AlertConfig::Directory(directory)) => {
                let (directory, name) =
                    (directory.clone(), format!("{}-{}.json", alert.id, file_name(&alert.agreement)));
                let written = tokio::task::spawn_blocking(move || write(&directory, &name, &text)).await;
                written.map_err(|error| error.to_string())??;
            }
            Some(AlertConfig::Command(command)) => run(command, &text).await?,
        }
        told.insert(of);
        Ok(())
    }
}

/// An agreement's id as a part of a file's name.
fn file_name(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

/// Whoever watches the directory never sees half a file.
fn write(directory: &Path, name: &str, text: &str) -> Result<(), String> {
    let failed = |path: &Path, error: std::io::Error| format!("`{}` cannot be written: {error}", path.display());
    let (unfinished, finished) = (directory.join(format!(".{name}")), directory.join(name));
    let written = std::fs::File::create(&unfinished).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    written.map_err(|error| failed(&unfinished, error))?;
    std::fs::rename(&unfinished, &finished).map_err(|error| failed(&finished, error))?;
    let synced = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| failed(directory, error))
}

async fn run(command: &[String], text: &str) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Err("`alerts.command` is empty".to_owned()) };
    let failed = |error: std::io::Error| format!("`{program}` cannot be run: {error}");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let told = async {
        if let Some(mut input) = child.stdin.take() {
            // What ends without reading may have done so on purpose: its exit code says.
            let _ = input.write_all(text.as_bytes()).await;
        }
        child.wait().await
    };
    match tokio::time::timeout(COMMAND_DEADLINE, told).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("`{program}` ended with {status}")),
        Ok(Err(error)) => Err(failed(error)),
        Err(_) => Err(format!("`{program}` took longer than {} s", COMMAND_DEADLINE.as_secs())),
    }
}

/// The files of alerts in a directory, by name: which begin with the time.
///
/// # Errors
/// The directory cannot be read.
pub fn alerts_in(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = std::fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')));
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(id: &str) -> Alert {
        let text = |text: &str| text.to_owned();
        Alert {
            kind: "break-glass",
            id: text(id),
            agreement: text("ISA-1/b"),
            owner: text("dpo@county.example"),
            user: text("eva"),
            organisation: text("county"),
            role: text("duty-doctor"),
            purpose: text("care"),
            case_reference: None,
            reason: Some(text("unconscious")),
            query_id: text("q"),
            at: text("2026-06-01T00:00:00Z"),
            until: text("2026-06-01T04:00:00Z"),
        }
    }

    #[tokio::test]
    async fn an_alert_is_a_whole_file_once_an_emergency() {
        let directory = tempfile::tempdir().unwrap();
        let alerts = Alerts::new(Some(AlertConfig::Directory(directory.path().to_owned())));
        for id in ["one", "one", "two"] {
            alerts.tell(&alert(id)).await.unwrap();
        }
        let files = alerts_in(directory.path()).unwrap();
        let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["one-ISA-1_b.json", "two-ISA-1_b.json"]);
        let read: serde_json::Value = serde_json::from_slice(&std::fs::read(&files[0]).unwrap()).unwrap();
        assert_eq!((&read["owner"], &read["reason"]), (&"dpo@county.example".into(), &"unconscious".into()));
    }

    #[tokio::test]
    async fn a_command_has_told_only_if_it_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let kept = directory.path().join("alert");
        let shell = |script: &str| {
            let command = ["sh", "-c", script].map(str::to_owned).to_vec();
            Alerts::new(Some(AlertConfig::Command(command)))
        };
        shell(&format!("cat > {}", kept.display())).tell(&alert("one")).await.unwrap();
        assert!(std::fs::read_to_string(&kept).unwrap().contains("\"id\":\"one\""));
        let failing = shell("cat > /dev/null; exit 3");
        for _ in 0..2 {
            let why = failing.tell(&alert("one")).await.unwrap_err();
            assert!(why.contains("exit status: 3"), "{why}");
        }
        let missing = Alerts::new(Some(AlertConfig::Command(vec!["/nowhere/at/all".to_owned()])));
        assert!(missing.tell(&alert("one")).await.unwrap_err().contains("cannot be run"));
        assert!(Alerts::new(None).tell(&alert("one")).await.unwrap_err().contains("[alerts]"));
    }

    #[tokio::test]
    async fn a_directory_that_is_gone_tells_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let gone = directory.path().join("gone");
        let alerts = Alerts::new(Some(AlertConfig::Directory(gone)));
        assert!(alerts.tell(&alert("one")).await.unwrap_err().contains("cannot be written"));
    }
}
