//! Faults: what happens to one call on its way to a service and back. Drawn anew for each call, at rates that the
//! scenario sets, and always the same for the same seed.

use std::collections::BTreeMap;
use std::time::Duration;

use ddb_kinesis_bridge::error::{ApiError, ErrorKind};

use crate::dice::Dice;
use crate::history::Who;

/// The three services a worker talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    Source,
    Sink,
    Leases,
}

impl Service {
    pub const ALL: [Service; 3] = [Service::Source, Service::Sink, Service::Leases];
}

/// How often what happens, in thousandths of all calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    /// Refused before any effect.
    pub reject: u64,
    /// The effect takes place, the answer is an error or is lost.
    pub lose: u64,
    /// The request is on its way for seconds to minutes, and takes effect then.
    pub hold: u64,
    /// The answer takes up to some seconds.
    pub slow: u64,
    pub throttle: u64,
    /// An entry of a PutRecords call fails by itself.
    pub entry: u64,
    /// A shard iterator expires early.
    pub expire: u64,
}

impl Rates {
    /// Rates as a stormy or a calm day has them, none above `foulest`.
    pub fn draw(dice: &mut Dice, foulest: u64) -> Self {
        let most = dice.pick(&[0, foulest / 10, foulest]).unwrap_or(0);
        let expire = if dice.chance(300) { dice.below(200) } else { 0 };
        let mut rate = || if dice.chance(600) { dice.below(most + 1) } else { 0 };
        let mut rates = Rates {
            reject: rate(),
            lose: rate(),
            hold: rate() / 2,
            slow: rate(),
            throttle: rate(),
            entry: rate() * 2,
            expire,
        };
        // And days on which one thing goes wrong again and again.
        if foulest > 0 && dice.chance(200) {
            let often = dice.between(100, 500);
            match dice.below(4) {
                0 => rates.lose = often,
                1 => rates.hold = often,
                2 => rates.slow = often,
                _ => rates.expire = often,
            }
        }
        rates
    }
}

/// What becomes of a call whose request has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Serve,
    Reject(ErrorKind),
    /// The effect takes place and the client gets an error.
    Fail,
    /// The effect takes place and the client hears nothing.
    Silence,
}

/// A call's way.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// From sending to effect.
    pub before: Duration,
    pub verdict: Verdict,
    /// From effect to answer.
    pub after: Duration,
}

/// How long a client that hears nothing would wait if it had no timeout of its own.
pub const SILENCE: Duration = Duration::from_secs(300);

/// The faults in force.
#[derive(Debug, Default)]
pub struct Faults {
    pub rates: BTreeMap<Service, Rates>,
    /// Until when a process is cut off from a service, milliseconds of the world.
    cuts: BTreeMap<(Who, Service), u64>,
    /// From when to when a service is down for everybody.
    pub outages: Vec<Outage>,
    /// How often a process is struck in the moment that a write of its own to the lease table takes effect, in
    /// thousandths.
    pub ambush: u64,
}

/// A service that is down for everybody, from one millisecond of the world to another.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    pub service: Service,
    pub from_ms: u64,
    pub until_ms: u64,
}

impl Outage {
    pub fn later(self, ms: u64) -> Self {
        Outage { from_ms: self.from_ms + ms, until_ms: self.until_ms + ms, ..self }
    }
}

impl Faults {
    pub fn cut(&mut self, who: &Who, service: Service, until_ms: u64) {
        self.cuts.insert((who.clone(), service), until_ms);
    }

    pub fn over(&mut self) {
        self.rates.clear();
        self.cuts.clear();
        self.outages.clear();
        self.ambush = 0;
    }

    pub fn is_cut(&self, who: &Who, service: Service, now_ms: u64) -> bool {
        let is_down = |outage: &Outage| {
            outage.service == service && (outage.from_ms..outage.until_ms).contains(&now_ms)
        };
        self.cuts.get(&(who.clone(), service)).is_some_and(|until| now_ms < *until)
            || self.outages.iter().any(is_down)
    }

    pub fn rates(&self, service: Service) -> Rates {
        self.rates.get(&service).copied().unwrap_or_default()
    }

    /// The way of a call sent now.
    pub fn plan(&self, dice: &mut Dice, who: &Who, service: Service, now_ms: u64) -> Plan {
        let rates = self.rates(service);
        let ms = Duration::from_millis;
        let mut plan =
            Plan { before: ms(dice.between(1, 8)), verdict: Verdict::Serve, after: ms(dice.between(1, 8)) };
        if self.is_cut(who, service, now_ms) {
            // A refused connection, or packets that go nowhere.
            plan.verdict = Verdict::Reject(ErrorKind::Transient);
            if dice.chance(500) {
                plan.after = SILENCE;
            }
            return plan;
        }
        if dice.chance(rates.slow) {
            plan.after = ms(dice.between(50, 6_000));
        }
        if dice.chance(rates.slow) {
            plan.before = ms(dice.between(50, 6_000));
        }
        if dice.chance(rates.hold) {
            plan.before = ms(dice.between(1_000, 90_000));
        }
        if dice.chance(rates.throttle) {
            plan.verdict = Verdict::Reject(ErrorKind::Throttled);
        } else if dice.chance(rates.reject) {
            plan.verdict = Verdict::Reject(ErrorKind::Transient);
        } else if dice.chance(rates.lose) {
            plan.verdict = if dice.chance(500) { Verdict::Fail } else { Verdict::Silence };
        }
        if plan.verdict == Verdict::Silence {
            plan.after = SILENCE;
        }
        plan
    }
}

/// An injected error.
pub fn error(api: &'static str, kind: ErrorKind) -> ApiError {
    let code = match kind {
        ErrorKind::Throttled => "ThrottlingException",
        ErrorKind::ConditionFailed => "ConditionalCheckFailedException",
        ErrorKind::NotFound => "ResourceNotFoundException",
        ErrorKind::ExpiredIterator => "ExpiredIteratorException",
        ErrorKind::Trimmed => "TrimmedDataAccessException",
        ErrorKind::Invalid => "ValidationException",
        _ => "InternalServerError",
    };
    ApiError::new(api, kind, code, "simulated")
}
