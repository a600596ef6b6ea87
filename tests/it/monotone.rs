//! What must hold of every policy, over worlds made up from a seed: one more refusal never releases more, and a mask never
//! tells more than the column that it masks.

use std::collections::BTreeMap;
use std::path::Path;

use tempfile::TempDir;
use wayleave::config::Config;
use wayleave::engine::Engine;
use wayleave::policy::Clock;
use wayleave::session::{Identity, Session};

use crate::certificate::chance::Chance;
use crate::harness::{rows_of, today};

const PATIENTS: usize = 40;

/// A number of nine digits with its check digit (modulus 11); `None` where it would be ten.
fn nhs_number(digits: usize) -> Option<String> {
    let digits = format!("{digits:09}");
    let sum: usize = digits.bytes().zip((2..=10).rev()).map(|(digit, weight)| usize::from(digit - b'0') * weight).sum();
    match 11 - sum % 11 {
        10 => None,
        check => Some(format!("{digits}{}", check % 11)),
    }
}

struct Small {
    engine: Engine,
    directory: TempDir,
    keys: Vec<String>,
}

/// The masks, as a share writes them, and the column that each is of.
const MASKS: [(&str, &str, &str); 7] = [
    ("null", "name", "\"null\""),
    ("outward", "postcode", "\"outward\""),
    ("year", "dob", "\"year\""),
    ("last", "name", "{ last = 2 }"),
    ("constant", "name", "{ constant = \"withheld\" }"),
    ("pseudonym", "nhs_number", "\"pseudonym\""),
    ("pseudonym-of-a-name", "name", "\"pseudonym\""),
];

fn agreement(role: &str, consent: &str, mask: &str) -> String {
    format!(
        "[agreement]\nid = \"{role}\"\ntitle = \"T\"\nowner = \"o@o.example\"\nstarts = 2026-01-01\nends = \
         2026-12-31\nreview_by = 2026-12-31\n[basis]\npurpose = \"care\"\narticle_6 = \"e\"\n[[recipient]]\norganisation = \
         \"asc\"\nroles = [\"{role}\"]\n[consent]\n{consent}\n[[share]]\ntable = \"health.main.patients\"\ncolumns = [\"id\", \
         \"nhs_number\", \"name\", \"dob\", \"postcode\"]\n{mask}\n"
    )
}

impl Small {
    async fn new(chance: &mut Chance) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let database = rusqlite::Connection::open(root.join("health.db")).unwrap();
        database
            .execute_batch(
                "CREATE TABLE patients (id INTEGER PRIMARY KEY, nhs_number TEXT, name TEXT, dob DATE, postcode TEXT); CREATE \
                 TABLE consents (nhs_number TEXT, purpose TEXT, recipient TEXT, status TEXT, since DATE, until DATE)",
            )
            .unwrap();
        let numbers = (1..).filter_map(|number| nhs_number(400_000_000 + number * 7));
        let keys: Vec<String> = numbers.take(PATIENTS).collect();
        for (id, key) in keys.iter().enumerate() {
            let key = match chance.below(12) {
                0 => "NULL".to_owned(),
                1 => "'9434765918'".to_owned(),
                2 => format!("'{key} '"),
                // Some persons have several records.
                3 => format!("'{}'", keys[chance.below(4)]),
                _ => format!("'{key}'"),
            };
            let name = ["NULL", "''", "'Ann Able'", "'Bo'", "'Zoë Ünal'", "'X'"][chance.below(6)];
            let dob = ["NULL", "'1950-01-31'", "'1950-12-31'", "'2015-06-01'"][chance.below(4)];
            let postcode = ["NULL", "'TQ1 4AA'", "'TQ1 4AB'", "'tq14aa'", "'TQ1'", "' '"][chance.below(6)];
            let row = format!("INSERT INTO patients VALUES ({id}, {key}, {name}, {dob}, {postcode})");
            database.execute_batch(&row).unwrap();
        }
        let opt_out = "mode = \"opt-out\"\nregisters = [\"shared\"]\nno_information = \"permit\"";
        let opt_out_strict = "mode = \"opt-out\"\nregisters = [\"shared\"]\nno_information = \"deny\"";
        let opt_in = "mode = \"opt-in\"\nregisters = [\"shared\"]\nno_information = \"deny\"";
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for (role, consent) in [("opt-out", opt_out), ("strict", opt_out_strict), ("opt-in", opt_in)] {
            write(&format!("policies/agreements/{role}.toml"), &agreement(role, consent, ""));
        }
        for (role, column, mask) in MASKS {
            let text = agreement(role, opt_out, &format!("mask.{column} = {mask}"));
            write(&format!("policies/agreements/{role}.toml"), &text);
        }
        write("policies/purposes.toml", "[purpose.care]\ntitle = \"C\"\n[purpose.other]\ntitle = \"O\"\n");
        write(
            "policies/registers.toml",
            "[register.shared]\ntable = \"health.main.consents\"\nkind = \"decisions\"\nsubject = { column = \"nhs_number\", \
             scheme = \"nhs-number\" }\npurpose = { column = \"purpose\" }\nrecipient = { column = \"recipient\" }\ndecision = \
             { column = \"status\", permit = [\"granted\"], deny = [\"refused\"] }\nfrom = \"since\"\nuntil = \"until\"\n",
        );
        for directory in ["audit", "alerts"] {
            std::fs::create_dir(root.join(directory)).unwrap();
        }
        write("pseudonym.key", "a key of the tests, and of nothing else");
        write(
            "wayleave.toml",
            "policies = \"policies\"\n[audit]\ndirectory = \"audit\"\n[pseudonyms]\nkey_file = \
             \"pseudonym.key\"\n[agency.health]\nconnector = \"sqlite\"\npath = \"health.db\"\n\
             [agency.health.tables.\"main.patients\"]\nsubject = { column = \"nhs_number\", scheme = \"nhs-number\" }\n",
        );
        let engine = open(root).await;
        let small = Self { engine, directory, keys };
        for _ in 0..chance.between(0, 25) {
            let status = chance.pick(&["granted", "granted", "refused", "GRANTED", "asked"]);
            small.entry(chance, status);
        }
        small
    }

    /// An entry of the register, with everything but its decision by chance.
    fn entry(&self, chance: &mut Chance, status: &str) {
        let key = chance.pick(&self.keys);
        let purpose = chance.pick(&["'care'", "'care'", "'care'", "'*'", "'*'", "'other'", "NULL"]);
        let recipient = chance.pick(&["'asc'", "'asc'", "'asc'", "'*'", "'*'", "'police'", "NULL"]);
        let since = chance.pick(&["NULL", "NULL", "'2026-01-01'", "'2026-06-01'", "'2026-06-02'"]);
        let until = chance.pick(&["NULL", "NULL", "NULL", "'2026-12-31'", "'2026-06-01'", "'2026-05-31'"]);
        let database = rusqlite::Connection::open(self.directory.path().join("health.db")).unwrap();
        let row =
            format!("INSERT INTO consents VALUES ('{key}', {purpose}, {recipient}, '{status}', {since}, {until})");
        database.execute_batch(&row).unwrap();
    }

    /// Rows by their id.
    async fn seen(&self, role: &str) -> BTreeMap<String, Vec<String>> {
        let session = Session::new(Identity::parse(&format!("u@asc/{role}")).unwrap(), "care");
        let sql = "SELECT * FROM health.main.patients";
        let rows = rows_of(self.engine.query(&session, sql).await.unwrap()).await.unwrap();
        rows.into_iter().map(|row| (row[0].clone(), row)).collect()
    }
}

async fn open(root: &Path) -> Engine {
    let config = Config::load(&root.join("wayleave.toml")).unwrap_or_else(|found| panic!("{found}"));
    Engine::with_clock(config, Clock::Fixed(today()))
        .await
        .unwrap_or_else(|error| panic!("{error} {:?}", error.detail()))
}

#[tokio::test]
async fn one_more_refusal_never_releases_more() {
    let (mut withheld, mut without_effect) = (0, 0);
    for seed in 0..8 {
        let mut chance = Chance::new(seed);
        let small = Small::new(&mut chance).await;
        let mut before = BTreeMap::new();
        for role in ["opt-out", "strict", "opt-in"] {
            before.insert(role, small.seen(role).await);
        }
        for _ in 0..6 {
            small.entry(&mut chance, "refused");
            for role in ["opt-out", "strict", "opt-in"] {
                let after = small.seen(role).await;
                for (id, row) in &after {
                    assert_eq!(before[role].get(id), Some(row), "seed {seed}: {role} sees more after a refusal");
                }
                if after.len() < before[role].len() {
                    withheld += 1;
                } else {
                    without_effect += 1;
                }
                before.insert(role, after);
            }
        }
        // Of the three, who must have said yes is never shown where somebody who said nothing is not.
        assert!(before["strict"].keys().all(|id| before["opt-out"].contains_key(id)), "seed {seed}");
    }
    assert!(withheld > 10 && without_effect > 10, "{withheld} {without_effect}");
}

#[tokio::test]
async fn a_mask_never_tells_more_than_the_column() {
    const COLUMNS: [&str; 5] = ["id", "nhs_number", "name", "dob", "postcode"];
    for seed in 100..104 {
        let small = Small::new(&mut Chance::new(seed)).await;
        let plain = small.seen("opt-out").await;
        assert!(plain.len() > 5, "seed {seed}");
        for (role, column, _) in MASKS {
            let masked = small.seen(role).await;
            assert_eq!(masked.keys().collect::<Vec<_>>(), plain.keys().collect::<Vec<_>>(), "seed {seed}: {role}");
            let at = COLUMNS.iter().position(|name| *name == column).unwrap();
            let mut shown: BTreeMap<&str, &str> = BTreeMap::new();
            for (id, row) in &masked {
                for (other, _) in COLUMNS.iter().enumerate().filter(|(other, _)| *other != at) {
                    assert_eq!(row[other], plain[id][other], "seed {seed}: {role} changes another column");
                }
                // What is shown follows from the value alone: not from the row, nor from what else is there.
                let first = shown.entry(&plain[id][at]).or_insert(&row[at]);
                assert_eq!(*first, row[at], "seed {seed}: {role} tells equal values apart");
                if role != "outward" && role != "year" && plain[id][at].chars().count() > 4 {
                    assert!(!row[at].contains(plain[id][at].as_str()), "seed {seed}: {role} shows {}", row[at]);
                }
            }
        }
    }
}
