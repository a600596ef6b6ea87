//! Housing: numbers in whatever form the housing officer typed, a third of them missing, some mistyped.

use rusqlite::{Transaction, params};
use wayleave_connector_api::Form;

use super::database::Agency;
use super::names;
use super::population::{Person, Role, days_ago};
use super::random::Random;
use super::written;

pub const AGENCY: Agency = Agency {
    name: "housing",
    tables: "
        CREATE TABLE tenants (
            tenant_id UUID PRIMARY KEY NOT NULL,
            nhs_no    TEXT,
            name      TEXT NOT NULL,
            phone     TEXT,
            email     TEXT,
            language  TEXT
        );
        CREATE TABLE tenancies (
            tenancy_id        INTEGER PRIMARY KEY,
            tenant_id         UUID NOT NULL REFERENCES tenants (tenant_id),
            nhs_no            TEXT,
            landlord          TEXT NOT NULL,
            address           TEXT NOT NULL,
            postcode          TEXT,
            weekly_rent_pence INTEGER NOT NULL,
            arrears_pence     INTEGER NOT NULL,
            adapted           BOOLEAN NOT NULL,
            started_on        DATE NOT NULL,
            ended_on          DATE
        );",
    indexes: "
        CREATE INDEX tenants_by_number ON tenants (nhs_no);
        CREATE INDEX tenancies_by_number ON tenancies (nhs_no);
        CREATE INDEX tenancies_by_tenant ON tenancies (tenant_id);",
    fill,
};

fn fill(transaction: &Transaction<'_>, persons: &[Person], random: &mut Random) -> rusqlite::Result<()> {
    let mut tenants = transaction.prepare_cached(
        "INSERT INTO tenants (tenant_id, nhs_no, name, phone, email, language) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut tenancies = transaction.prepare_cached(
        "INSERT INTO tenancies (tenant_id, nhs_no, landlord, address, postcode, weekly_rent_pence, arrears_pence, adapted,
                                started_on, ended_on)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for person in persons.iter().filter(|person| person.known_to.housing) {
        let known = person.role != Role::Crowd;
        let bits = (u128::from(random.draw()) << 64) | u128::from(random.draw());
        let tenant_id = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string();
        let number = match random.below(100) {
            _ if known => Some(written::number(&person.nhs_number, Form::Hyphenated, random)),
            0..=29 => None,
            30..=32 => Some(written::number(&written::mistyped(&person.nhs_number), Form::Mixed, random)),
            33 => Some(random.pick(&["unknown", "n/a", "will bring letter"]).to_owned()),
            _ => Some(written::number(&person.nhs_number, Form::Mixed, random)),
        };
        let name = if random.chance(600) || known { written::filed_name(person) } else { person.full_name() };
        let email = random.chance(350).then(|| {
            format!(
                "{}.{}@mail.example",
                person.first_name.to_lowercase(),
                person.last_name.to_lowercase().replace('\'', "")
            )
        });
        tenants.execute(params![
            tenant_id,
            number,
            name,
            (known || !random.chance(150)).then_some(&person.phone),
            email,
            random.chance(60).then(|| random.pick(&["pl", "pa", "cy", "zh", "ar", "bsl"])),
        ])?;
        let moves = if known || random.chance(800) { 1 } else { 2 };
        for earlier in 0..moves {
            let started = random.between(100, 2000) + earlier * 2000;
            let arrears = if random.chance(180) { random.between(1, 2400) * 100 } else { 0 };
            tenancies.execute(params![
                tenant_id,
                number,
                random.pick_weighted(names::LANDLORDS),
                if earlier == 0 {
                    person.address.clone()
                } else {
                    format!("Flat {}, 9 Fore Street", random.between(1, 40))
                },
                (known || !random.chance(40)).then_some(&person.postcode),
                i64::try_from(random.between(82, 190) * 100).unwrap_or_default(),
                i64::try_from(if known { 0 } else { arrears }).unwrap_or_default(),
                person.age() >= 70 && random.chance(300),
                days_ago(started).to_string(),
                (earlier > 0).then(|| days_ago(started.saturating_sub(1500)).to_string()),
            ])?;
        }
    }
    Ok(())
}
