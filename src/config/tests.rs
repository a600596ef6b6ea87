use std::path::Path;

use wayleave_connector_api::{Form, KeyFormat, Scheme, TableName};

use super::read::read;
use super::{Config, ConnectorConfig, ServerConfig, Tls, TokenConfig};
use crate::diagnostic::Diagnostics;

const TOP: &str = "policies = \"policies\"\n[audit]\ndirectory = \"audit\"\n";

/// A directory in which the files that a configuration may name exist.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("policies")).unwrap();
    std::fs::write(directory.path().join("ca.pem"), "").unwrap();
    std::fs::write(directory.path().join("pseudonym.key"), "k".repeat(40) + "\n").unwrap();
    std::fs::write(directory.path().join("short.key"), "hunter2").unwrap();
    std::fs::write(directory.path().join("health.url"), "postgres://u:hunter2@db.example/h\n").unwrap();
    directory
}

fn environment(name: &str) -> Option<String> {
    match name {
        "HEALTH_URL" => Some("postgres://u:hunter2@127.0.0.1/h".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Config, Diagnostics> {
    let directory = directory();
    read(text, &directory.path().join("wayleave.toml"), &environment)
}

/// The faults of a text as `line:column message (hint)`.
fn faults(text: &str) -> Vec<String> {
    let Diagnostics(found) = parse(text).unwrap_err();
    assert!(!found.is_empty());
    found
        .iter()
        .map(|one| {
            assert!(one.file.ends_with("wayleave.toml"));
            format!("{}:{} {} ({})", one.line, one.column, one.message, one.hint.clone().unwrap_or_default())
        })
        .collect()
}

fn with_agency(lines: &str) -> String {
    format!("{TOP}[agency.health]\n{lines}\n")
}

fn postgres(lines: &str) -> ServerConfig {
    let config = parse(&with_agency(&format!("connector = \"postgres\"\n{lines}"))).unwrap();
    match config.agencies["health"].connector.clone() {
        ConnectorConfig::Postgres(postgres) => postgres,
        other => panic!("not what was written: {other:?}"),
    }
}

#[test]
fn mariadb_and_mysql_are_one_connector() {
    for (connector, url, tls) in [
        ("mysql", "mysql://u:p@db.example/d", Tls::Require),
        ("mariadb", "mariadb://u:p@db.example:3307", Tls::Require),
        ("mysql", "mysql://u:p@127.0.0.1/d", Tls::Disable),
    ] {
        let config = parse(&with_agency(&format!("connector = \"{connector}\"\nurl = \"{url}\""))).unwrap();
        let ConnectorConfig::Mysql(server) = config.agencies["health"].connector.clone() else { panic!("{connector}") };
        assert_eq!((server.url.expose(), server.tls), (url, tls));
    }
    for url in ["postgres://u@h/d", "mysql://u:p@h/d?require_ssl=false", "mysql:///d"] {
        assert!(parse(&with_agency(&format!("connector = \"mysql\"\nurl = \"{url}\""))).is_err(), "{url}");
    }
}

#[test]
fn a_sql_server_is_reached_over_tls_by_a_password_or_a_token() {
    let of = |lines: &str| -> Result<(Tls, Option<TokenConfig>), Diagnostics> {
        let config = parse(&with_agency(&format!("connector = \"sqlserver\"\n{lines}")))?;
        match config.agencies["health"].connector.clone() {
            ConnectorConfig::SqlServer { server, token } => Ok((server.tls, token)),
            other => panic!("not what was written: {other:?}"),
        }
    };
    let password = of("url = \"sqlserver://u:p@db.example/Care\"\nca_file = \"ca.pem\"").unwrap();
    assert!(matches!(password, (Tls::Require, None)));
    let local = of("url = \"sqlserver://u:p@127.0.0.1:1434/Care\"").unwrap();
    assert!(matches!(local, (Tls::Disable, None)));
    let token = of("url = \"sqlserver://db.example/Care\"\naad_token_file = \"ca.pem\"").unwrap();
    assert!(matches!(token, (Tls::Require, Some(TokenConfig::File(_)))));
    let both = "url = \"sqlserver://db.example/Care\"\naad_token_file = \"ca.pem\"\naad_token_env = \"HEALTH_URL\"";
    assert!(of(both).is_err());
    assert!(of("url = \"sqlserver://u:p@db.example/Care\"\ntls = \"disable\"").is_err());
    assert!(of("url = \"postgres://u:p@db.example/Care\"").is_err());
    // A token is for SQL Server alone.
    assert!(
        parse(&with_agency("connector = \"postgres\"\nurl = \"postgres://localhost/d\"\naad_token_file = \"ca.pem\""))
            .is_err()
    );
}

const WHOLE: &str = r#"
policies = "policies"
[audit]
directory = "audit"
[pseudonyms]
key_file = "pseudonym.key"
[limits]
connect_timeout_ms = 250
[agency.health]
connector = "postgres"
url = "postgres://u:hunter2@db.example/h"
title = "Torbay hospitals"
tls = "require"
ca_file = "ca.pem"
max_connections = 2
statement_timeout_ms = 1000
[agency.health.tables."public.patients"]
subject = { column = "nhs_number", scheme = "nhs-number", form = "spaced", assured = true }
[agency.social]
connector = "sqlite"
path = "social.db"
[agency.social.tables."main.clients"]
subject = { column = "nhs_no", scheme = "nhs-number" }
[agency.social.tables."main.visits"]
[view.clients]
key = "nhs_number"
scheme = "nhs-number"
sources = ["health.public.patients", "social.main.clients"]
[view.clients.columns]
name = ["social.main.clients.full_name", "health.public.patients.name"]
born = ["health.public.patients.dob"]
"#;

#[test]
fn a_whole_configuration_is_read() {
    let directory = directory();
    let file = directory.path().join("wayleave.toml");
    std::fs::write(&file, WHOLE).unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.policies, directory.path().join("policies"));
    assert_eq!(config.audit.directory, directory.path().join("audit"));
    assert_eq!(config.pseudonyms.as_ref().unwrap().expose(), "k".repeat(40).as_bytes());
    assert_eq!(config.limits.connect_timeout_ms, 250);
    let health = &config.agencies["health"];
    assert_eq!(health.title.as_deref(), Some("Torbay hospitals"));
    assert_eq!((health.max_connections, health.statement_timeout_ms), (2, 1000));
    let subject = health.tables[&TableName::new("public", "patients")].subject.as_ref().unwrap();
    let format = KeyFormat { scheme: Scheme::NhsNumber, form: Form::Spaced, assured: true };
    assert_eq!((subject.column.as_str(), subject.format), ("nhs_number", format));
    let social = &config.agencies["social"];
    assert_eq!((social.max_connections, social.statement_timeout_ms), (4, 60_000));
    assert!(
        matches!(&social.connector, ConnectorConfig::Sqlite { path } if *path == directory.path().join("social.db"))
    );
    assert_eq!(social.tables[&TableName::new("main", "visits")].subject, None);
    let compact = social.tables[&TableName::new("main", "clients")].subject.as_ref().unwrap().format;
    assert_eq!(compact, KeyFormat { scheme: Scheme::NhsNumber, form: Form::Compact, assured: false });
    let view = &config.views["clients"];
    let columns: Vec<&str> = view.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(columns, ["name", "born"]);
    assert_eq!(view.columns[0].1[0].to_string(), "social.main.clients.full_name");
    assert_eq!(view.sources.len(), 2);
}

#[test]
fn neither_debug_nor_errors_show_a_secret() {
    let config = parse(WHOLE).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("kkkk"), "{shown}");
    for wrong in [
        "connector = \"postgres\"\nurl = \"postgresql+psycopg://u:hunter2@h/d\"",
        "connector = \"postgres\"\nurl = \"hunter2\"",
        "connector = \"postgres\"\nurl = [\"hunter2\"]",
        "connector = \"postgres\"\nurl = \"postgres://u:hunter2@h/d?sslmode=disable\"",
        "connector = \"postgres\"\nurl = \"postgres://u:hunter2@h/d\"\nurl_file = \"health.url\"",
        "connector = \"postgres\"\nurl = \"postgres://u:hunter2@h/d\"\ntls = \"disable\"",
        "connector = \"postgres\"\nurl_env = \"postgres://u:hunter2@h/d\"",
        "connector = \"postgres\"\nurl_file = \"postgres://u:hunter2@h/d\"",
        "connector = \"postgres://u:hunter2@h/d\"",
        "connector = \"sqlite\"\nurl = \"hunter2\"",
        "connector = \"postgres\"\nuser_pwd = \"hunter2\"",
        "connector = \"postgres\"\nulr = \"hunter2\"",
        "connector = \"postgres\"\nurl = \"hunter2",
    ] {
        let shown = parse(&with_agency(wrong)).unwrap_err().to_string();
        assert!(!shown.contains("hunter2"), "{wrong}\n{shown}");
    }
    for wrong in [
        "key_file = \"short.key\"",
        "key_env = \"hunter2-and-more\"",
        "key_file = \"hunter2hunter2hunter2hunter2hunter2\"",
    ] {
        let text = format!("{}[pseudonyms]\n{wrong}\n", with_agency("connector = \"sqlite\"\npath = \"x\""));
        let shown = parse(&text).unwrap_err().to_string();
        assert!(!shown.contains("hunter2"), "{wrong}\n{shown}");
    }
}

#[test]
fn every_error_is_told_at_once_with_its_place() {
    let text = "polices = \"policies\"\n[audit]\ndirectory = 5\n[agency.Health]\nconnector = \"postgress\"\nmax_connections = 0\n";
    assert_eq!(
        faults(text),
        [
            "1:1 unknown key `polices` (did you mean `policies`?)",
            "1:1 `policies` is missing (write `policies = \"policies\"`)",
            "3:13 `audit.directory` must be text in quotes, and this is a whole number (write `directory = \"audit\"`)",
            "4:9 `Health` cannot name an agency (an agency's name has a to z, 0 to 9, `_` and `-`, and starts with a letter)",
            "5:13 `postgress` is no value of `agency.Health.connector` (did you mean `postgres`?)",
            "6:19 `agency.Health.max_connections` must be between 1 and 1000 (write `max_connections = 4`)",
        ]
    );
}

#[test]
fn what_is_missing_is_named() {
    let faults = faults("");
    assert_eq!(faults[1], "1:1 `audit` is missing (write `[audit]`, then `directory = \"audit\"`)");
    assert_eq!(faults.len(), 3);
    let missing = Config::load(Path::new("/nowhere/wayleave.toml")).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/wayleave.toml: the configuration cannot be read"), "{missing}");
}

#[test]
fn missing_files_are_told_but_a_missing_database_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!("{}ca_file = \"no.pem\"\n", with_agency("connector = \"postgres\"\nurl = \"postgres://h/d\""));
    let found = read(&text, &directory.path().join("wayleave.toml"), &environment).unwrap_err().0;
    assert_eq!(found.iter().map(|one| (one.line, one.column)).collect::<Vec<_>>(), [(1, 12), (7, 11)]);
    assert!(found[0].message.starts_with("there is no directory"));
    assert!(found[1].message.starts_with("there is no file"));
    assert!(parse(&with_agency("connector = \"sqlite\"\npath = \"nowhere.db\"")).is_ok());
}

#[test]
fn a_syntax_error_has_a_place() {
    let found = parse("policies = \"policies\"\naudit = = 3\n").unwrap_err().0;
    assert_eq!((found[0].line, found[0].column), (2, 9));
    assert_eq!(found[0].source_line, "audit = = 3");
}

#[test]
fn a_url_comes_from_one_place() {
    assert_eq!(postgres("url_env = \"HEALTH_URL\"").url.expose(), "postgres://u:hunter2@127.0.0.1/h");
    assert_eq!(postgres("url_file = \"health.url\"").url.expose(), "postgres://u:hunter2@db.example/h");
    assert_eq!(
        faults(&with_agency("connector = \"postgres\"\nurl_env = \"NO_URL\"")),
        [
            "6:11 the environment variable `NO_URL` that `agency.health.url_env` names is not set (set it before Wayleave starts, or name another)"
        ]
    );
    assert!(faults(&with_agency("connector = \"postgres\"\nurl_env = \"EMPTY\""))[0].contains("is not set"));
    assert_eq!(
        faults(&with_agency("connector = \"postgres\"\nurl_env = \"HEALTH_URL\"\nurl = \"postgres://h/d\"")),
        ["7:1 `url_env` and `url` contradict each other (write exactly one of `url`, `url_env`, `url_file`)"]
    );
    assert_eq!(
        faults(&with_agency("connector = \"postgres\"")),
        [
            "4:1 `url` or `url_env` or `url_file` is missing in `agency.health` (write exactly one of `url`, `url_env`, `url_file`)"
        ]
    );
    assert!(faults(&with_agency("connector = \"postgres\"\nurl_file = \"no.url\""))[0].starts_with("6:12 the file "));
}

#[test]
fn odbc_takes_a_connection_string_that_is_never_shown() {
    let config = parse(&with_agency("connector = \"odbc\"\nurl_env = \"HEALTH_URL\"")).unwrap();
    let odbc = config.agencies["health"].connector.clone();
    assert!(!format!("{odbc:?}").contains("hunter2"));
    assert!(
        matches!(odbc, ConnectorConfig::Odbc { connection_string } if connection_string.expose().contains("hunter2"))
    );
    for (lines, message) in [
        ("connector = \"odbc\"", "`url` or `url_env` or `url_file` is missing"),
        ("connector = \"odbc\"\nurl_env = \"HEALTH_URL\"\ntls = \"require\"", "`tls` has no meaning here"),
        ("connector = \"odbc\"\nurl_env = \"HEALTH_URL\"\npath = \"x\"", "`path` has no meaning here"),
    ] {
        let found = faults(&with_agency(lines));
        assert!(found[0].contains(message) && !format!("{found:?}").contains("hunter2"), "{lines}: {found:?}");
    }
}

#[test]
fn files_take_a_folder_and_how_its_csv_is_written() {
    let files = |lines: &str| {
        let config = parse(&with_agency(&format!("connector = \"files\"\npath = \"drop\"\n{lines}"))).unwrap();
        match config.agencies["health"].connector.clone() {
            ConnectorConfig::Files(files) => files,
            other => panic!("not what was written: {other:?}"),
        }
    };
    let plain = files("");
    assert!(plain.path.is_absolute() && plain.path.ends_with("drop"), "{plain:?}");
    assert_eq!((plain.csv_delimiter, plain.csv_header), (b',', true));
    let other = files("csv_delimiter = \"\\t\"\ncsv_header = false");
    assert_eq!((other.csv_delimiter, other.csv_header), (b'\t', false));
    for (lines, message) in [
        ("connector = \"files\"", "`path`"),
        ("connector = \"files\"\npath = \"drop\"\ncsv_delimiter = \"::\"", "is not one ASCII character"),
        ("connector = \"files\"\npath = \"drop\"\ncsv_delimiter = \"\\n\"", "is not one ASCII character"),
        ("connector = \"files\"\npath = \"drop\"\ntls = \"require\"", "no network connection"),
        ("connector = \"files\"\npath = \"drop\"\nurl = \"x\"", "`files` is a folder"),
        ("connector = \"sqlite\"\npath = \"x.db\"\ncsv_header = false", "only `files` reads CSV"),
    ] {
        let found = faults(&with_agency(lines));
        assert!(found[0].contains(message), "{lines}: {found:?}");
    }
}

#[test]
fn sqlite_takes_a_path_or_its_url() {
    for written in ["path = \"h.db\"", "url = \"sqlite:h.db\"", "url = \"sqlite://h.db\""] {
        let config = parse(&with_agency(&format!("connector = \"sqlite\"\n{written}"))).unwrap();
        let ConnectorConfig::Sqlite { path } = &config.agencies["health"].connector else {
            panic!("not what was written")
        };
        assert_eq!(*path, config.file.parent().unwrap().join("h.db"));
    }
    let config = parse(&with_agency("connector = \"sqlite\"\npath = \"/data/h.db\"")).unwrap();
    assert!(
        matches!(&config.agencies["health"].connector, ConnectorConfig::Sqlite { path } if path.as_os_str() == "/data/h.db")
    );
    assert!(
        faults(&with_agency("connector = \"sqlite\"\nurl = \"postgres://h/d\""))[0].starts_with("6:7 this is no URL")
    );
    let network = faults(&with_agency("connector = \"sqlite\"\npath = \"h.db\"\ntls = \"require\""));
    assert!(network[0].starts_with("7:1 `tls` has no meaning here"), "{network:?}");
    let path = faults(&with_agency("connector = \"postgres\"\nurl = \"postgres://h/d\"\npath = \"h.db\""));
    assert!(path[0].starts_with("7:1 `path` has no meaning here"), "{path:?}");
}

#[test]
fn plain_text_stays_on_this_machine() {
    assert_eq!(postgres("url = \"postgres://db.example/h\"").tls, Tls::Require);
    assert_eq!(postgres("url = \"postgres://localhost/h\"").tls, Tls::Disable);
    assert_eq!(postgres("url = \"postgres:///h?host=/run/postgresql\"").tls, Tls::Disable);
    assert_eq!(postgres("url = \"postgres://localhost/h\"\ntls = \"require\"").tls, Tls::Require);
    assert_eq!(postgres("url = \"postgres://[::1]/h\"\ntls = \"disable\"").tls, Tls::Disable);
    assert_eq!(
        postgres("url = \"postgres://db.example/h\"\ntls = \"disable\"\nallow_plaintext = true").tls,
        Tls::Disable
    );
    let refused =
        faults(&with_agency("connector = \"postgres\"\nurl = \"postgres://db.example/h\"\ntls = \"disable\""));
    assert!(refused[0].starts_with("7:7 without TLS"), "{refused:?}");
    let refused = faults(&with_agency(
        "connector = \"postgres\"\nurl = \"postgres://localhost,db.example/h\"\ntls = \"disable\"",
    ));
    assert!(refused[0].starts_with("7:7 without TLS"), "{refused:?}");
}

#[test]
fn agency_names_are_catalog_names() {
    for (name, allowed) in [
        ("a-b_2", true),
        ("x", true),
        ("2x", false),
        ("été", false),
        ("unified", false),
        ("wayleave", false),
        ("information_schema", false),
    ] {
        let text = format!("{TOP}[agency.\"{name}\"]\nconnector = \"sqlite\"\npath = \"x\"\n");
        assert_eq!(parse(&text).is_ok(), allowed, "{name}");
        if !allowed {
            assert!(faults(&text)[0].starts_with("4:9 "), "{name}");
        }
    }
}

#[test]
fn a_pseudonym_key_has_enough_bytes() {
    let text = |line: &str| format!("{}[pseudonyms]\n{line}\n", with_agency("connector = \"sqlite\"\npath = \"x\""));
    assert!(parse(&text("key_file = \"pseudonym.key\"")).unwrap().pseudonyms.is_some());
    assert_eq!(parse(&text("key_env = \"HEALTH_URL\"")).unwrap().pseudonyms.unwrap().expose().len(), 32);
    assert_eq!(
        faults(&text("key_file = \"short.key\"")),
        ["8:12 the pseudonym key has fewer than 32 bytes (make one with `openssl rand -hex 32`)"]
    );
    assert!(faults(&text(""))[0].starts_with("7:1 `key_file` or `key_env` is missing"));
    assert!(parse(&with_agency("connector = \"sqlite\"\npath = \"x\"")).unwrap().pseudonyms.is_none());
}

#[test]
fn tables_and_subjects_are_checked() {
    let text = |lines: &str| with_agency(&format!("connector = \"sqlite\"\npath = \"x\"\n{lines}"));
    assert_eq!(
        faults(&text("[agency.health.tables.public.patients]")),
        [
            "7:23 a name of the form `schema.table` is wanted, and this has 1 parts (write schema and table in one pair of quotes: `tables.\"public.patients\"`)"
        ]
    );
    assert!(parse(&text("tables.\"s.\\\"a.b\\\"\".subject = { column = \"id\", scheme = \"opaque\" }")).is_ok());
    let subject = |value: &str| text(&format!("tables.\"s.t\".subject = {value}"));
    assert_eq!(
        faults(&subject("{ column = \"id\", scheme = \"nhs\" }"))[0],
        "7:50 `nhs` is no value of `agency.health.tables.s.t.subject.scheme` (write one of `nhs-number`, `opaque`)"
    );
    assert!(
        faults(&subject("{ column = \"id\", scheme = \"opaque\", form = \"spaced\" }"))[0].contains("no written forms")
    );
    assert!(faults(&subject("{ scheme = \"opaque\" }"))[0].starts_with("7:24 `column` is missing"));
}

#[test]
fn views_refer_to_declared_subjects() {
    let with_view = |from: &str, to: &str| {
        assert!(WHOLE.contains(from), "{from}");
        WHOLE.replacen(from, to, 1)
    };
    let sources = "\"health.public.patients\", \"social.main.clients\"";
    for (to, fault) in [
        ("\"helth.public.patients\"", "28:12 there is no agency `helth` (did you mean `health`?)"),
        (
            "\"health.public.staff\"",
            "28:12 `health.public.staff` has no declared subject (write `subject = { … }` under `[agency.health.tables.\"public.staff\"]`)",
        ),
        (
            "\"social.main.visits\"",
            "28:12 `social.main.visits` has no declared subject (write `subject = { … }` under `[agency.social.tables.\"main.visits\"]`)",
        ),
        (
            "\"patients\"",
            "28:12 a name of the form `agency.schema.table` is wanted, and this has 1 parts (write `\"agency.schema.table\"`)",
        ),
        (
            "",
            "28:11 `view.clients.sources` is empty (write `sources = [\"health.public.patients\", \"social.public.clients\"]`)",
        ),
    ] {
        assert_eq!(faults(&with_view(sources, to))[0], fault);
    }
    let opaque = with_view("\"nhs_no\", scheme = \"nhs-number\"", "\"nhs_no\", scheme = \"opaque\"");
    assert!(faults(&opaque)[0].starts_with("28:38 the subject of `social.main.clients` is of the scheme `opaque`"));
    let other = with_view("born = [\"health.public.patients.dob\"]", "born = [\"health.public.births.dob\"]");
    assert_eq!(
        faults(&other),
        ["31:9 `health.public.births.dob` is no source of `view.clients` (add it to `sources`)".replace(".dob", "")]
    );
    let key = with_view("born = ", "nhs_number = ");
    assert!(faults(&key)[0].starts_with("31:1 `nhs_number` is the view's key already"));
    let name =
        with_view("[view.clients]", "[view.Clients]").replacen("[view.clients.columns]", "[view.Clients.columns]", 1);
    assert!(faults(&name)[0].starts_with("25:7 `Clients` cannot name a view"));
    assert!(
        parse(&with_view(sources, "\"health.public.patients\"").replace("\"social.main.clients.full_name\", ", ""))
            .is_ok()
    );
}

#[test]
fn memory_and_disk_are_limited_as_written() {
    let directory = directory();
    let text = with_agency(
        "connector = \"sqlite\"\npath = \"h.db\"\n[limits]\nquery_memory = \"512MB\"\nprocess_memory = \"2 gb\"\nspill_directory = \"policies\"\nspill_disk = \"4096kB\"",
    );
    let limits = read(&text, &directory.path().join("wayleave.toml"), &environment).unwrap().limits;
    assert_eq!((limits.query_memory, limits.process_memory), (512 << 20, 2 << 30));
    assert_eq!((limits.spill_disk, limits.connect_timeout_ms), (4 << 20, 5000));
    assert_eq!(limits.spill_directory, directory.path().join("policies"));
    let text = with_agency("connector = \"sqlite\"\npath = \"h.db\"\n[limits]\nprocess_memory = \"400MB\"");
    assert_eq!(parse(&text).unwrap().limits.query_memory, 100 << 20);
}

#[test]
fn wrong_sizes_are_shown_where_they_stand() {
    let size = "write a whole number and kB, MB, GB or TB, such as \"512MB\"";
    let cases = [
        ("query_memory = \"512\"", format!("9:16 `limits.query_memory` must be a size ({size})")),
        ("query_memory = \"1.5GB\"", format!("9:16 `limits.query_memory` must be a size ({size})")),
        ("process_memory = \"-1MB\"", format!("9:18 `limits.process_memory` must be a size ({size})")),
        ("spill_disk = \"99999999999TB\"", format!("9:14 `limits.spill_disk` must be a size ({size})")),
        (
            "query_memory = \"10kB\"",
            "9:16 `limits.query_memory` is less than 1MB (write a larger size, such as \"512MB\")".to_owned(),
        ),
        ("query_memory = 512", "9:16 `limits.query_memory` must be text in quotes, and this is a whole number (write `query_memory = \"1GB\"`)".to_owned()),
        (
            "process_memory = \"64MB\"\nquery_memory = \"65MB\"",
            "10:16 `query_memory` is more than `process_memory`: one query would have more than all together \
             (write at most `query_memory = \"64MB\"`, or raise `process_memory`)"
                .to_owned(),
        ),
    ];
    for (lines, expected) in cases {
        let text = with_agency(&format!("connector = \"sqlite\"\npath = \"h.db\"\n\n[limits]\n{lines}"));
        // Above: three lines at the top, two of the agency's, and a blank one.
        assert_eq!(faults(&text), [expected], "{lines}");
    }
    let text = with_agency("connector = \"sqlite\"\npath = \"h.db\"\n[limits]\nspill_directory = \"nowhere\"");
    assert!(faults(&text)[0].starts_with("8:19 there is no directory"), "{:?}", faults(&text));
}

#[test]
fn what_is_served_is_told_and_plain_text_stays_on_this_machine() {
    let serve = |lines: &str| {
        let text = with_agency("connector = \"sqlite\"\npath = \"h.db\"");
        parse(&format!("{text}[serve]\nusers = \"users.toml\"\n[serve.postgres]\n{lines}\n"))
    };
    let listener = serve("listen = \"127.0.0.1:5433\"").unwrap().serve.unwrap();
    assert!(listener.users.ends_with("users.toml"));
    let postgres = listener.postgres;
    assert_eq!((postgres.listen.port(), postgres.certificate, postgres.max_connections), (5433, None, 200));
    let open = "listen = \"0.0.0.0:5433\"\n";
    assert!(serve(&format!("{open}allow_plaintext = true")).is_ok());
    let encrypted = serve(&format!("{open}certificate = \"ca.pem\"\nkey = \"short.key\"")).unwrap().serve.unwrap();
    assert!(encrypted.postgres.certificate.is_some());
    for (lines, message) in [
        (open, "would speak in plain text with other machines"),
        ("listen = \"5433\"", "is no address and port"),
        ("listen = \"[::1]:5433\"\ncertificate = \"ca.pem\"", "go together"),
        ("listen = \"127.0.0.1:1\"\ncertificate = \"none.pem\"\nkey = \"ca.pem\"", "there is no file"),
    ] {
        let said = serve(lines).unwrap_err().to_string();
        assert!(said.contains(message), "{lines}: {said}");
    }
    assert!(parse(&with_agency("connector = \"sqlite\"\npath = \"h.db\"")).unwrap().serve.is_none());
}
