//! Which of a run's numbers the asker may be told.
//!
//! INVARIANT: nothing that the asker is told depends on a withheld row, nor on a source's statistics, which count withheld
//! rows too. So of a fragment nothing is told where
//! - it brings rows that are not all released, or that few persons stand behind ([`Counting::Withheld`]);
//! - it was narrowed by keys of rows that are not all released, or statistics decided at run time how it was read;
//! - something above it stops reading when it has enough: how far it came follows from the others' speed and size;
//! - it stands under a join of which one side has no rows: which side is read first follows statistics, and then the other
//!   is not read at all.
//!
//! Of an operation nothing is told unless everything below it may be. With one exception: out of the last check of consent
//! come released rows, and the asker may count those, but not learn how long it took to find them. Below an output rule even
//! released rows are not to be counted. The answer's own rows are the asker's to count.

use std::collections::{BTreeMap, BTreeSet};

use wayleave_connector_api::Audience;

use super::tree::{Does, Operator, ReadingOrder, Reads};
use crate::federate::{Counting, Measured};

/// What the rules look at, of one fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub counting: Counting,
    pub release: Release,
    /// `None` where it was never opened.
    pub measured: Option<Measured>,
}

/// As what a fragment's rows are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Release {
    Rows,
    /// An output rule stands above it.
    AggregatesOnly,
}

/// What may be told of a fragment, from the most to the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Told {
    All,
    /// Not its bytes: they would tell how long values are that a pseudonym stands for.
    WithoutBytes,
    Nothing,
}

/// What may be told of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ToldOfOperator {
    Nothing,
    Rows,
    RowsAndTime,
}

/// What an audience may be told.
#[derive(Debug)]
pub(super) struct Telling {
    audience: Audience,
    fragments: BTreeMap<u64, Told>,
    releases: BTreeMap<u64, Release>,
    /// Fragments of which something above has made sure that nothing is told, whatever rows they bring.
    cut_off: BTreeSet<u64>,
}

/// Whether an operation stands below a check of consent, among rows that are not all released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Released,
    BelowCheck,
}

impl Place {
    /// The place of an operation's inputs.
    pub fn below(self, operator: &Operator) -> Self {
        if operator.does == Does::ConsentCheck { Self::BelowCheck } else { self }
    }
}

impl Telling {
    pub fn to(audience: Audience, root: &Operator, facts: &BTreeMap<u64, Facts>) -> Self {
        let releases = facts.iter().map(|(fragment, facts)| (*fragment, facts.release)).collect();
        let mut telling = Self { audience, fragments: BTreeMap::new(), releases, cut_off: BTreeSet::new() };
        match audience {
            Audience::Source => telling.fragments.extend(facts.keys().map(|fragment| (*fragment, Told::All))),
            Audience::Asker => telling.decide(root, Told::All, facts),
        }
        telling
    }

    pub fn of_fragment(&self, fragment: u64) -> Told {
        self.fragments.get(&fragment).copied().unwrap_or(Told::Nothing)
    }

    /// What may be told of an operation's own rows and time.
    pub fn of_operator(&self, operator: &Operator, place: Place) -> ToldOfOperator {
        if self.audience == Audience::Source {
            return ToldOfOperator::RowsAndTime;
        }
        if let Some(fragment) = operator.fragment {
            return match self.of_fragment(fragment) {
                Told::All | Told::WithoutBytes => ToldOfOperator::RowsAndTime,
                Told::Nothing => ToldOfOperator::Nothing,
            };
        }
        if operator.does == Does::ConsentCheck && place == Place::Released {
            return self.of_check(operator);
        }
        let below = place.below(operator);
        let inputs = operator.inputs.iter().map(|input| self.of_operator(input, below));
        inputs.min().unwrap_or(ToldOfOperator::RowsAndTime)
    }

    /// Released rows come out of the last check; they are counted unless something above made them count for less.
    fn of_check(&self, check: &Operator) -> ToldOfOperator {
        let fragments = check.fragments();
        let counted_out =
            |fragment: &u64| self.releases.get(fragment) != Some(&Release::Rows) || self.cut_off.contains(fragment);
        if fragments.iter().any(counted_out) { ToldOfOperator::Nothing } else { ToldOfOperator::Rows }
    }

    fn decide(&mut self, operator: &Operator, at_most: Told, facts: &BTreeMap<u64, Facts>) {
        if let Some(fragment) = operator.fragment {
            let told = match facts.get(&fragment) {
                Some(Facts { counting: Counting::Shown, measured, .. })
                    if !measured.is_some_and(|m| m.by_statistics) =>
                {
                    at_most
                }
                Some(_) | None => Told::Nothing,
            };
            // What stands in several places is told of as little as in any of them.
            let told = told.max(self.fragments.get(&fragment).copied().unwrap_or(Told::All));
            self.fragments.insert(fragment, told);
            if at_most == Told::Nothing {
                self.cut_off.insert(fragment);
            }
            return;
        }
        let at_most = match (at_most, operator.reads, operator.makes_pseudonyms) {
            (Told::Nothing, _, _) | (_, Reads::UntilEnough, _) => Told::Nothing,
            (Told::WithoutBytes, _, _) | (_, _, true) => Told::WithoutBytes,
            (Told::All, Reads::ToTheEnd, false) => Told::All,
        };
        match (operator.does, operator.order, operator.inputs.as_slice()) {
            // What is below a check is withheld for what it is. Only what is above may cut off what comes out of it.
            (Does::ConsentCheck, _, inputs) => inputs.iter().for_each(|input| self.decide(input, at_most, facts)),
            (_, ReadingOrder::Keyed, [giver, receivers @ ..]) => {
                self.decide(giver, at_most, facts);
                let keys = self.of_operator(giver, Place::Released);
                let at_most = if keys == ToldOfOperator::Nothing { Told::Nothing } else { at_most };
                receivers.iter().for_each(|receiver| self.decide(receiver, at_most, facts));
            }
            (Does::Join, ReadingOrder::Any, sides) => {
                // Where nobody counted, there may have been none.
                let some = |side: &Operator| rows_from(side, facts).is_some_and(|rows| rows > 0);
                let both = sides.iter().all(|side| side.does == Does::Subquery || some(side));
                let at_most = if both { at_most } else { Told::Nothing };
                sides.iter().for_each(|side| self.decide(side, at_most, facts));
            }
            (_, _, inputs) => inputs.iter().for_each(|input| self.decide(input, at_most, facts)),
        }
    }
}

/// Rows that came out of an operation; `None` where nobody counted them.
fn rows_from(operator: &Operator, facts: &BTreeMap<u64, Facts>) -> Option<u64> {
    if let Some(fragment) = operator.fragment {
        return Some(facts.get(&fragment)?.measured.map_or(0, |measured| measured.rows));
    }
    if let Some(counted) = operator.counted {
        return Some(counted.rows);
    }
    match (operator.does, operator.inputs.as_slice()) {
        // These give as many rows as they take.
        (Does::Answer | Does::Compute | Does::Window | Does::Subquery, [input, ..]) => rows_from(input, facts),
        (Does::Sort, [input, ..]) => rows_from(input, facts),
        // Constants of the query itself: always there.
        (Does::Rows, _) => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::counted::Counted;
    use super::*;

    fn keyed(does: Does, giver: Operator, receiver: u64) -> Operator {
        Operator { order: ReadingOrder::Keyed, ..over(does, vec![giver, leaf(receiver)]) }
    }

    fn leaf(fragment: u64) -> Operator {
        Operator { fragment: Some(fragment), ..Operator::new(Does::Fragment, "", Vec::new()) }
    }

    fn over(does: Does, inputs: Vec<Operator>) -> Operator {
        Operator { counted: Some(Counted { rows: 3, compute: None }), ..Operator::new(does, "", inputs) }
    }

    /// Fragments 1 and 2 are released whole, 9 is not; each has brought so many rows.
    fn facts(rows: [u64; 3]) -> BTreeMap<u64, Facts> {
        let fact = |counting, rows| Facts {
            counting,
            release: Release::Rows,
            measured: Some(Measured { rows, ..Measured::default() }),
        };
        BTreeMap::from([
            (1, fact(Counting::Shown, rows[0])),
            (2, fact(Counting::Shown, rows[1])),
            (9, fact(Counting::Withheld, rows[2])),
        ])
    }

    fn told(root: &Operator, facts: &BTreeMap<u64, Facts>) -> [Told; 3] {
        let telling = Telling::to(Audience::Asker, root, facts);
        [1, 2, 9].map(|fragment| telling.of_fragment(fragment))
    }

    #[test]
    fn released_rows_are_told_and_others_are_not() {
        let tree = over(Does::Union, vec![leaf(1), over(Does::Join, vec![leaf(2), leaf(9)])]);
        let telling = Telling::to(Audience::Asker, &tree, &facts([5, 5, 5]));
        assert_eq!(told(&tree, &facts([5, 5, 5])), [Told::All, Told::All, Told::Nothing]);
        let of = |operator: &Operator| telling.of_operator(operator, Place::Released);
        assert_eq!(of(&tree.inputs[0]), ToldOfOperator::RowsAndTime);
        assert_eq!([of(&tree.inputs[1]), of(&tree)], [ToldOfOperator::Nothing; 2]);
    }

    #[test]
    fn the_operator_is_told_everything() {
        let tree = over(Does::Limit, vec![leaf(9)]);
        let telling = Telling::to(Audience::Source, &tree, &facts([0, 0, 0]));
        assert_eq!(telling.of_operator(&tree, Place::Released), ToldOfOperator::RowsAndTime);
        assert_eq!(telling.of_fragment(9), Told::All);
    }

    #[test]
    fn keys_of_withheld_rows_hide_what_they_bring() {
        let tree = |giver: u64, receiver: u64| keyed(Does::KeyedJoin, leaf(giver), receiver);
        assert_eq!(told(&tree(1, 2), &facts([0, 0, 5]))[..2], [Told::All, Told::All]);
        assert_eq!(told(&tree(9, 2), &facts([5, 5, 5]))[1..], [Told::Nothing, Told::Nothing]);
    }

    /// Rows of fragment 9 are checked against a register, 8, that its keys go to; then they give keys to fragment 2.
    #[test]
    fn released_rows_come_out_of_the_last_check() {
        let mut facts = facts([5, 5, 5]);
        facts.insert(8, facts[&9]);
        facts.insert(7, facts[&9]);
        let check = || keyed(Does::ConsentCheck, leaf(9), 8);
        let twice = over(Does::ConsentCheck, vec![check(), leaf(7)]);
        let tree = keyed(Does::KeyedJoin, twice, 2);
        let telling = Telling::to(Audience::Asker, &tree, &facts);
        let outer = &tree.inputs[0];
        assert_eq!(telling.of_operator(&tree, Place::Released), ToldOfOperator::Rows);
        assert_eq!(telling.of_operator(outer, Place::Released), ToldOfOperator::Rows);
        assert_eq!(telling.of_operator(&outer.inputs[0], Place::Released.below(outer)), ToldOfOperator::Nothing);
        assert_eq!([9, 8, 7].map(|fragment| telling.of_fragment(fragment)), [Told::Nothing; 3]);
        assert_eq!(telling.of_fragment(2), Told::All);

        // Not where something above stops early, and not below an output rule.
        let limit =
            Operator { reads: Reads::UntilEnough, ..over(Does::Limit, vec![keyed(Does::KeyedJoin, check(), 2)]) };
        let telling = Telling::to(Audience::Asker, &limit, &facts);
        assert_eq!(telling.of_operator(&limit.inputs[0].inputs[0], Place::Released), ToldOfOperator::Nothing);
        assert_eq!(telling.of_fragment(2), Told::Nothing);
        facts.get_mut(&9).unwrap().release = Release::AggregatesOnly;
        let telling = Telling::to(Audience::Asker, &tree, &facts);
        assert_eq!(telling.of_operator(outer, Place::Released), ToldOfOperator::Nothing);
        assert_eq!(telling.of_fragment(2), Told::Nothing);
    }

    #[test]
    fn what_statistics_decided_is_not_told() {
        let mut facts = facts([5, 5, 5]);
        facts.get_mut(&2).unwrap().measured.as_mut().unwrap().by_statistics = true;
        let tree = keyed(Does::KeyedJoin, leaf(1), 2);
        assert_eq!(told(&tree, &facts)[..2], [Told::All, Told::Nothing]);
    }

    #[test]
    fn what_may_stop_early_hides_how_far_it_came() {
        let limit = Operator { reads: Reads::UntilEnough, ..over(Does::Limit, vec![leaf(1)]) };
        let tree = over(Does::Join, vec![limit, leaf(2)]);
        assert_eq!(told(&tree, &facts([5, 5, 5]))[..2], [Told::Nothing, Told::All]);
    }

    #[test]
    fn an_empty_side_of_a_join_hides_which_was_read() {
        let tree = over(Does::Join, vec![over(Does::Filter, vec![leaf(1)]), leaf(2)]);
        for rows in [[5, 0, 0], [0, 0, 0]] {
            assert_eq!(told(&tree, &facts(rows))[..2], [Told::Nothing, Told::Nothing], "{rows:?}");
        }
        let unknown = Operator { counted: None, ..over(Does::Filter, vec![leaf(1)]) };
        let tree = over(Does::Join, vec![unknown, leaf(2)]);
        assert_eq!(told(&tree, &facts([5, 5, 5]))[..2], [Told::Nothing, Told::Nothing]);
        // Keyed joins read in the order of the plan, which is the query's.
        let tree = keyed(Does::KeyedJoin, leaf(1), 2);
        assert_eq!(told(&tree, &facts([0, 0, 0]))[..2], [Told::All, Told::All]);
    }

    #[test]
    fn the_length_of_what_a_pseudonym_stands_for_is_not_told() {
        let compute = Operator { makes_pseudonyms: true, ..over(Does::Compute, vec![leaf(1)]) };
        assert_eq!(
            told(&over(Does::Join, vec![compute, leaf(2)]), &facts([5, 5, 5]))[..2],
            [Told::WithoutBytes, Told::All]
        );
    }
}
