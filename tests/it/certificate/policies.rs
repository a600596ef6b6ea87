//! Policies made up for a world: who shares what, masked, filtered and by whose consent.

use std::collections::BTreeMap;

use super::case::{Agreement, Connector, Consent, Share, Table, World};
use super::chance::Chance;
use super::kind::{Kind, is_no_date};
use super::release::released;
use super::worlds::cell;

pub fn make(world: &mut World, chance: &mut Chance) {
    let count = chance.between(1, 2);
    let mut agreements: Vec<Agreement> = (0..count)
        .map(|number| Agreement { id: format!("A-{number}"), consent: consent(world, chance), share: Vec::new() })
        .collect();
    for agency in &world.agency {
        for table in &agency.table {
            if world.register.iter().any(|register| register.agency == agency.name && register.table == table.name) {
                continue;
            }
            let fitting: Vec<usize> = (0..agreements.len())
                .filter(|position| agreements[*position].consent.is_none() || table.subject.is_some())
                .collect();
            if fitting.is_empty() {
                continue;
            }
            let others: Vec<String> =
                world.agency.iter().map(|other| other.name.clone()).filter(|other| *other != agency.name).collect();
            let position = chance.pick(&fitting);
            agreements[position].share.push(share(chance, &agency.name, agency.connector, table, &others));
        }
    }
    agreements.retain(|agreement| !agreement.share.is_empty());
    world.agreement = agreements;
    loosen(world);
}

/// A policy that releases nothing at all has little to show: it is made less strict where it is so by chance.
fn loosen(world: &mut World) {
    let is_empty = |world: &World| -> Vec<bool> { released(world).iter().map(|table| table.rows.is_empty()).collect() };
    let empty = is_empty(world);
    for (share, empty) in world.agreement.iter_mut().flat_map(|agreement| &mut agreement.share).zip(empty) {
        if empty {
            share.rows = None;
        }
    }
    let mut empty = is_empty(world).into_iter();
    for agreement in &mut world.agreement {
        let of_agreement: Vec<bool> = empty.by_ref().take(agreement.share.len()).collect();
        if let Some(consent) = &mut agreement.consent
            && of_agreement.into_iter().all(|empty| empty)
        {
            consent.no_information = "permit".to_owned();
        }
    }
}

fn consent(world: &World, chance: &mut Chance) -> Option<Consent> {
    if world.register.is_empty() || chance.once_in(3) {
        return None;
    }
    let mut registers: Vec<String> =
        chance.some(&world.register.iter().map(|register| register.name.clone()).collect::<Vec<_>>());
    if registers.is_empty() {
        registers.push(world.register[0].name.clone());
    }
    Some(Consent {
        registers,
        no_information: chance.pick(&["permit", "permit", "permit", "permit", "deny"]).to_owned(),
    })
}

fn share(chance: &mut Chance, agency: &str, connector: Connector, table: &Table, others: &[String]) -> Share {
    let mut columns = Vec::new();
    let mut mask = BTreeMap::new();
    for (position, (column, kind)) in table.columns.iter().enumerate() {
        let is_subject = table.subject.as_ref().is_some_and(|subject| subject.column == *column);
        // The first column tells rows apart, which generated orders lean on.
        if position > 0 && chance.once_in(if is_subject { 9 } else { 5 }) {
            continue;
        }
        columns.push(column.clone());
        if position > 0 && chance.once_in(if is_subject { 12 } else { 5 }) {
            let fitting: &[&str] = match Kind::parse(kind) {
                Kind::Text(_) | Kind::Char(_) | Kind::Uuid => {
                    &["null", "constant it's a mask", "constant ", "outward", "last 1", "last 3"]
                }
                Kind::Date | Kind::Timestamp | Kind::TimestampZoned => &["null", "year"],
                _ => &["null"],
            };
            mask.insert(column.clone(), chance.pick(fitting).to_owned());
        }
    }
    let rows = if chance.once_in(3) { row_filter(chance, connector, table, 2) } else { None };
    let disclosed = if table.subject.is_some() && chance.once_in(2) { chance.some(others) } else { Vec::new() };
    // Decided without chance, so that a seed's worlds stay what they were.
    let (disclose_pseudonyms_to, disclose_keys_to) =
        disclosed.into_iter().partition(|other| (table.columns.len() + other.len()).is_multiple_of(2));
    Share {
        agency: agency.to_owned(),
        table: table.name.clone(),
        columns,
        mask,
        rows,
        disclose_keys_to,
        disclose_pseudonyms_to,
    }
}

/// A condition that the agency's database can answer for itself; `None` where the table has no column for one.
fn row_filter(chance: &mut Chance, connector: Connector, table: &Table, depth: usize) -> Option<String> {
    if depth > 0 && chance.once_in(2) {
        let left = row_filter(chance, connector, table, depth - 1)?;
        return Some(match chance.below(3) {
            0 => format!("NOT ({left})"),
            1 => format!("({left}) AND ({})", row_filter(chance, connector, table, depth - 1)?),
            _ => format!("({left}) OR ({})", row_filter(chance, connector, table, depth - 1)?),
        });
    }
    let fitting: Vec<&(String, String)> = table
        .columns
        .iter()
        .filter(|(_, kind)| match Kind::parse(kind) {
            Kind::Boolean | Kind::Int16 | Kind::Int32 | Kind::Int64 | Kind::Text(_) => true,
            Kind::Date => connector != Connector::Sqlite,
            _ => false,
        })
        .collect();
    let (column, kind) = chance.pick(&fitting).clone();
    let kind = Kind::parse(&kind);
    let name = format!("\"{}\"", column.replace('"', "\"\""));
    let literal = |chance: &mut Chance| loop {
        if let Some(text) = cell(chance, kind, connector).text()
            && !(kind == Kind::Date && is_no_date(text))
        {
            let quoted = format!("'{}'", text.replace('\'', "''"));
            return match kind {
                Kind::Text(_) => quoted,
                Kind::Date => format!("DATE {quoted}"),
                // The smallest number is written as minus a number that is no int8.
                _ if text == "-9223372036854775808" => "-9223372036854775807".to_owned(),
                _ => text.to_owned(),
            };
        }
    };
    // SQL Server orders texts in a way of its own, and its `_` is half of some characters.
    let is_unordered = connector == Connector::SqlServer && matches!(kind, Kind::Text(_));
    let patterns = ["a%", "%a", "%\\%%", "A%", "%''", "%", "_", "__%"];
    let patterns = if is_unordered { &patterns[..6] } else { &patterns[..] };
    Some(match (chance.below(7), kind) {
        (0, _) => format!("{name} IS NULL"),
        (1, _) => format!("{name} IS NOT NULL"),
        (_, Kind::Boolean) => format!("{name} = {}", literal(chance)),
        (2, _) => format!("{name} IN ({}, {})", literal(chance), literal(chance)),
        (3, _) => format!("{name} NOT IN ({}, {})", literal(chance), literal(chance)),
        (4, _) if !is_unordered => format!("{name} BETWEEN {} AND {}", literal(chance), literal(chance)),
        (5, Kind::Text(_)) => format!("{name} LIKE '{}'", chance.pick(patterns)),
        _ if is_unordered => format!("{name} {} {}", chance.pick(&["=", "<>"]), literal(chance)),
        _ => format!("{name} {} {}", chance.pick(&["=", "<>", "<", "<=", ">", ">="]), literal(chance)),
    })
}
