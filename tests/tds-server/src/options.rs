//! How a server is started.

/// What the server says of encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// It has no certificate.
    NotSupported,
    /// Only the login is encrypted, unless the client wants more: SQL Server as it is installed.
    LoginOnly,
    /// `Force encryption`.
    Required,
}

/// The product that is spoken for; it decides which syntax is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Sql2016,
    Sql2017,
    Sql2019,
    Sql2022,
    Sql2025,
}

impl Version {
    /// Major, minor, and two bytes of build.
    pub fn bytes(self) -> [u8; 4] {
        let (major, build): (u8, u16) = match self {
            Self::Sql2016 => (13, 6300),
            Self::Sql2017 => (14, 3456),
            Self::Sql2019 => (15, 4375),
            Self::Sql2022 => (16, 4175),
            Self::Sql2025 => (17, 1000),
        };
        let [high, low] = build.to_be_bytes();
        [major, 0, high, low]
    }

    pub fn text(self) -> String {
        let [major, minor, high, low] = self.bytes();
        format!("{major}.{minor}.{}.1", u16::from_be_bytes([high, low]))
    }

    pub fn year(self) -> u16 {
        match self {
            Self::Sql2016 => 2016,
            Self::Sql2017 => 2017,
            Self::Sql2019 => 2019,
            Self::Sql2022 => 2022,
            Self::Sql2025 => 2025,
        }
    }
}

/// Whether ALLOW_SNAPSHOT_ISOLATION is on in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotIsolation {
    Off,
    On,
}

#[derive(Clone, Debug)]
pub struct Options {
    /// 0: the operating system chooses.
    pub port: u16,
    pub database: String,
    /// Users and their passwords; the first is the owner that [`crate::Server::url`] names.
    pub users: Vec<(String, String)>,
    pub encryption: Encryption,
    pub version: Version,
    pub snapshot_isolation: SnapshotIsolation,
    /// Connections that may be open at a time; one more is refused with error 17809.
    pub greatest_connections: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            database: "care".to_owned(),
            users: vec![("wayleave".to_owned(), "Passw0rd!".to_owned())],
            encryption: Encryption::LoginOnly,
            version: Version::Sql2022,
            snapshot_isolation: SnapshotIsolation::On,
            greatest_connections: None,
        }
    }
}
