//! Policy at the size of a region: 10,000 agreements over 2,000 tables of 20 agencies.
//!
//! `load and check` reads the files and checks every rule that holds between them; it should take less than 2 s. `decide`
//! says which share of which agreement answers for a table, which every table of every query asks once; it should take
//! less than 1 ms, also for a recipient of very many agreements.

#![allow(clippy::expect_used, missing_debug_implementations, reason = "a benchmark stops where it fails")]

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use chrono::NaiveDate;
use criterion::{Criterion, criterion_group, criterion_main};
use wayleave::catalog::Agencies;
use wayleave::names::QualifiedTable;
use wayleave::policy::files::PolicySet;
use wayleave::policy::{Clock, Policy};
use wayleave::session::{Identity, Session};

const AGREEMENTS: usize = 10_000;
const TABLES: usize = 2_000;
const TABLES_AN_AGENCY: usize = 100;
const PURPOSES: usize = 50;
const REGISTERS: usize = 20;
/// Every so many-th agreement is for one and the same recipient, each for a table of its own.
const OF_ONE_RECIPIENT: usize = 5;

fn table(number: usize) -> String {
    let number = number % TABLES;
    format!("agency{:02}.main.table{:03}", number / TABLES_AN_AGENCY, number % TABLES_AN_AGENCY)
}

fn agreement(number: usize) -> String {
    let of_one = number.is_multiple_of(OF_ONE_RECIPIENT);
    let recipient = if of_one { "county".to_owned() } else { format!("organisation{:03}", number % 400) };
    // Agreements of one recipient share different tables, or they would overlap.
    let (purpose, role) = if of_one {
        ("purpose00".to_owned(), "analyst".to_owned())
    } else {
        (format!("purpose{:02}", number % PURPOSES), format!("role{number}"))
    };
    let shares: String = if of_one { vec![number / OF_ONE_RECIPIENT] } else { vec![number, number + 7, number + 311] }
        .into_iter()
        .map(|number| {
            format!(
                "\n[[share]]\ntable = \"{}\"\ncolumns = [\"nhs_number\", \"name\", \"dob\", \"postcode\", \"gp_practice\"]\n\
                 mask.postcode = \"outward\"\nmask.dob = \"year\"\nrows = \"deceased = false\"\ndisclose_keys_to = \
                 [\"agency01\"]\n",
                table(number)
            )
        })
        .collect();
    format!(
        "#:schema ../agreement.schema.json\n[agreement]\nid = \"ISA-{number:05}\"\ntitle = \"Agreement {number}\"\nowner = \
         \"dpo@torbay.example\"\nstarts = 2026-04-01\nends = 2027-03-31\nreview_by = 2026-12-31\n\n[basis]\npurpose = \
         \"{purpose}\"\narticle_6 = \"e\"\narticle_9 = \"h\"\ngateway = \"Care Act 2014\"\n\n[[recipient]]\norganisation = \
         \"{recipient}\"\nroles = [\"{role}\", \"{role}-lead\"]\n\n[consent]\nmode = \"opt-out\"\nregisters = \
         [\"register{:02}\"]\nno_information = \"permit\"\n{shares}",
        number % REGISTERS
    )
}

fn write_region(directory: &Path) {
    let agreements = directory.join("agreements");
    std::fs::create_dir_all(&agreements).expect("a directory");
    for number in 0..AGREEMENTS {
        std::fs::write(agreements.join(format!("{number:05}.toml")), agreement(number)).expect("an agreement");
    }
    let purposes: String =
        (0..PURPOSES).map(|n| format!("[purpose.purpose{n:02}]\ntitle = \"Purpose {n}\"\n")).collect();
    std::fs::write(directory.join("purposes.toml"), purposes).expect("purposes");
    let register = |n: usize| {
        format!(
            "[register.register{n:02}]\ntable = \"agency{n:02}.main.consents\"\nkind = \"decisions\"\nsubject = {{ column = \
             \"nhs_number\", scheme = \"nhs-number\" }}\ndecision = {{ column = \"status\", permit = [\"granted\"], deny = \
             [\"refused\"] }}\n"
        )
    };
    std::fs::write(directory.join("registers.toml"), (0..REGISTERS).map(register).collect::<String>())
        .expect("registers");
}

fn policies(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    write_region(directory.path());
    let mut group = criterion.benchmark_group("policies");
    group.sample_size(10).measurement_time(Duration::from_secs(15));
    let load = || PolicySet::load(directory.path()).unwrap_or_else(|found| panic_with(&found));
    group.bench_function("load and check 10,000 agreements", |bencher| bencher.iter(|| black_box(load())));
    group.finish();

    let set = load();
    assert_eq!(set.agreements.len(), AGREEMENTS);
    let day = NaiveDate::from_ymd_opt(2026, 6, 1).expect("a day");
    let policy = Policy::new(set, Agencies::default(), None, Clock::Fixed(day));
    let session =
        |identity: &str, purpose: &str| Session::new(Identity::parse(identity).expect("an identity"), purpose);
    let mut group = criterion.benchmark_group("decide");
    for (name, session, number, released) in [
        ("a recipient of one agreement", session("ann@organisation003/role1203", "purpose03"), 1_203, true),
        ("a recipient of 2,000 agreements", session("ann@county/analyst", "purpose00"), 1_999, true),
        ("nobody", session("ann@county/stranger", "purpose00"), 7, false),
    ] {
        let table = QualifiedTable::parse(&table(number)).expect("a table");
        assert_eq!(policy.entitlement(&session, &table).is_ok(), released, "{name}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(policy.entitlement(&session, black_box(&table))))
        });
    }
    group.finish();
}

#[allow(clippy::panic, reason = "a benchmark stops where it fails")]
fn panic_with(found: &wayleave::diagnostic::Diagnostics) -> PolicySet {
    panic!("{found}")
}

criterion_group!(benches, policies);
criterion_main!(benches);
