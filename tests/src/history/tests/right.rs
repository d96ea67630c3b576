//! Whatever a register does that carries each write out at one moment is right: with writes whose outcome nobody knows,
//! with writes that are tried again, with conditions.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::history::{Asked, Call, Condition, History, Options, Told, Version, WriteId, check};

/// Microseconds after its end that an unknown write may still be carried out here.
const UNKNOWN_FOR: u64 = 80;

/// One key's record, and everything that it has been.
#[derive(Default)]
struct Register {
    version: Option<Version>,
    value: Option<WriteId>,
    past: Vec<Version>,
}

impl Register {
    fn live(&self) -> Option<Version> {
        self.version.filter(|_| self.value.is_some())
    }

    fn holds(&self, condition: Option<Condition>) -> bool {
        match condition {
            None => true,
            Some(Condition::IfAbsent) => self.live().is_none(),
            Some(Condition::IfVersion(wanted)) => self.live() == Some(wanted),
        }
    }
}

struct World {
    rng: Pcg64,
    clock: u64,
    keys: Vec<Register>,
}

impl World {
    /// What a call asks for; which version a condition names is chosen when it is judged.
    fn asked(&mut self, number: u32) -> Asked {
        let id = WriteId { client: number % 7, number };
        let condition = match self.rng.random_range(0..6) {
            0 => Some(Condition::IfAbsent),
            1 | 2 => Some(Condition::IfVersion(Version { term: 0, clock: 0, store: 0 })),
            _ => None,
        };
        match self.rng.random_range(0..10) {
            0..4 => Asked::Put(id, condition),
            4..6 => Asked::Delete(condition),
            _ => Asked::Get,
        }
    }

    /// A call and the moments at which it is carried out.
    fn call(&mut self, number: u32, keys: u32, until: u64) -> (Call, Vec<u64>) {
        let begun = self.rng.random_range(0..until);
        let ended = begun + self.rng.random_range(1..60);
        let asked = self.asked(number);
        let key = self.rng.random_range(0..keys);
        let (client, said) = (number % 7, String::new());
        let mut call = Call { key, client, through: 0, begun, ended, asked, told: Told::Unknown, last: false, said };
        let plain = asked != Asked::Get && asked.condition().is_none();
        let moments = match (asked, self.rng.random_range(0..10)) {
            (Asked::Put(..) | Asked::Delete(_), 0) => {
                call.told = Told::NotDone;
                Vec::new()
            }
            (Asked::Put(..) | Asked::Delete(_), 1..4) => {
                let tries = self.rng.random_range(0..=if plain { 2 } else { 1 });
                (0..tries).map(|_| self.rng.random_range(begun..=ended + UNKNOWN_FOR)).collect()
            }
            (_, lot) => {
                // Until it has been carried out, which an answer will say.
                call.told = Told::Absent;
                let moment = self.rng.random_range(begun..=ended);
                match plain && lot < 6 {
                    true => vec![self.rng.random_range(begun..=moment), moment],
                    false => vec![moment],
                }
            }
        };
        (call, moments)
    }

    fn version(&mut self) -> Version {
        self.clock += self.rng.random_range(1..3);
        Version { term: 0, clock: self.clock, store: self.rng.random_range(0..5) }
    }

    fn named(&mut self, key: usize, condition: Option<Condition>) -> Option<Condition> {
        let Some(Condition::IfVersion(_)) = condition else { return condition };
        let register = &self.keys[key];
        let past = register.past.len();
        let any = register.past.get(self.rng.random_range(0..=past)).copied();
        let named = if self.rng.random_range(0..3) < 2 { register.live().or(any) } else { any };
        Some(Condition::IfVersion(named.unwrap_or(Version { term: 0, clock: u64::MAX, store: 9 })))
    }

    /// Carries a call out now. The last time is what its answer tells.
    fn carry_out(&mut self, call: &mut Call) {
        let key = call.key as usize;
        let condition = self.named(key, call.asked.condition());
        let value = match &mut call.asked {
            Asked::Get => {
                let register = &self.keys[key];
                call.told = match (register.version, register.value) {
                    (Some(version), Some(id)) => Told::Value(version, Ok(id)),
                    _ => Told::Absent,
                };
                return;
            }
            Asked::Put(id, of) => {
                *of = condition;
                Some(*id)
            }
            Asked::Delete(of) => {
                *of = condition;
                None
            }
        };
        let unknown = call.told == Told::Unknown;
        if !self.keys[key].holds(condition) {
            if !unknown {
                call.told = Told::ConditionFailed(self.keys[key].live());
            }
            return;
        }
        let version = self.version();
        let register = &mut self.keys[key];
        (register.version, register.value) = (Some(version), value);
        register.past.push(version);
        if !unknown {
            call.told = Told::Done(version);
        }
    }
}

fn right(seed: u64, calls: u32, keys: u32, until: u64) -> History {
    let rng = Pcg64::seed_from_u64(seed);
    let mut world = World { rng, clock: 1, keys: (0..keys).map(|_| Register::default()).collect() };
    let mut all: Vec<(Call, Vec<u64>)> = (0..calls).map(|number| world.call(number, keys, until)).collect();
    for key in 0..keys {
        let begun = until + 60 + UNKNOWN_FOR;
        for last in 0..3 {
            let (begun, ended) = (begun + 10 * last, begun + 10 * last + 5);
            let (asked, told, said) = (Asked::Get, Told::Absent, String::new());
            let call = Call { key, client: 99, through: 0, begun, ended, asked, told, last: true, said };
            all.push((call, vec![begun + 2]));
        }
    }
    let mut moments: Vec<(u64, u32, usize)> = Vec::new();
    for (index, (_, at)) in all.iter().enumerate() {
        moments.extend(at.iter().map(|at| (*at, world.rng.random::<u32>(), index)));
    }
    moments.sort_unstable();
    for (_, _, index) in moments {
        world.carry_out(&mut all[index].0);
    }
    History { calls: all.into_iter().map(|(call, _)| call).collect() }
}

fn options() -> Options {
    Options { unknown_for: Duration::from_micros(UNKNOWN_FOR), ..Options::default() }
}

#[test]
fn whatever_a_register_does_is_right() {
    for seed in 0..2_000 {
        let (calls, until) = [(60, 400), (300, 1_500), (300, 20_000)][seed as usize % 3];
        let history = right(seed, calls, 1 + seed as u32 % 3, until);
        let report = check(&history, &options());
        if let Some(wrong) = report.violations.first() {
            panic!("seed {seed}: {wrong:?}\n{}", history.around(wrong, 1_000, 1_000).join("\n"));
        }
        assert!(report.is_clean(), "seed {seed}: {:?}", report.unread);
    }
}

#[test]
fn what_is_right_is_right_in_any_order_of_the_calls() {
    let mut history = right(7, 300, 2, 1_500);
    history.calls.reverse();
    assert!(check(&history, &options()).is_clean());
}

/// Not that every such change makes a wrong history; but far from all of them may pass.
#[test]
fn most_reads_that_are_told_another_state_are_found() {
    let (mut changed, mut found) = (0, 0);
    for seed in 0..300 {
        let mut history = right(seed, 300, 1, 20_000);
        let mut rng = Pcg64::seed_from_u64(seed);
        let values: Vec<usize> =
            (0..history.calls.len()).filter(|index| matches!(history.calls[*index].told, Told::Value(..))).collect();
        let at = |rng: &mut Pcg64| values[rng.random_range(0..values.len())];
        let (one, other) = (at(&mut rng), at(&mut rng));
        if history.calls[one].told == history.calls[other].told {
            continue;
        }
        history.calls[one].told = history.calls[other].told.clone();
        changed += 1;
        found += usize::from(!check(&history, &options()).is_clean());
    }
    assert!(changed > 200 && found * 100 >= changed * 95, "{found} of {changed}");
}

#[test]
fn a_million_calls_are_checked_in_seconds() {
    let history = right(1, 1_000_000, 2_000, 500_000_000);
    let begun = Instant::now();
    assert!(check(&history, &options()).is_clean());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
