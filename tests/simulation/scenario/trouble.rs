//! What happens in a scenario while it is in turmoil: changes, resharding, faults, and the ways a process can suffer.

use std::collections::{BTreeMap, VecDeque};

use super::{Deed, Scenario, Seat};
use crate::faults::{Rates, Service};
use crate::history::Event;
use crate::plan::{self, Happening};

impl Scenario<'_> {
    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Write => (0..self.dice.between(1, 4)).for_each(|_| self.write()),
            Happening::Burst => (0..self.dice.between(20, 150)).for_each(|_| self.write()),
            Happening::Rotate => self.reshard(1, false),
            Happening::RotateAll => self.reshard(1, true),
            Happening::Split => self.reshard(2, false),
            Happening::Weather => {
                let weather = plan::weather(&mut self.dice, self.plan.foulest, self.plan.sheltered);
                self.set_weather(weather);
            }
            Happening::Disable => {
                let table = self.a_table();
                let (open, streams) = {
                    let mut state = self.world.lock();
                    (state.tables[table].open_shards(), state.tables[table].streams.len())
                };
                if !open.is_empty() && streams < 3 {
                    self.world.lock().disable(table);
                    // Later than any listing lags behind.
                    let ms = self.dice.between(41_000, 60_000);
                    self.after(ms, Deed::Enable(table));
                }
            }
            Happening::Kill | Happening::Stop | Happening::Pause | Happening::Cut => self.trouble(happening),
            Happening::Rival => self.rival(),
            Happening::ReshardKinesis => {
                let (sink, shards) = (self.a_table(), self.dice.between(1, 4));
                let mut state = self.world.lock();
                state.sinks[sink].reshard(shards);
                state.happened(Event::Note(format!("sink-{sink} is resharded into {shards}")));
            }
        }
    }

    pub(super) fn reshard(&mut self, children: u32, all: bool) {
        let table = self.a_table();
        let open = self.world.lock().tables[table].open_shards();
        if children > 1 && open.len() > 5 {
            return;
        }
        let chosen: VecDeque<String> = if all {
            open.into()
        } else {
            let index = usize::try_from(self.dice.below(open.len() as u64)).unwrap_or(0);
            open.into_iter().skip(index).take(1).collect()
        };
        let mut state = self.world.lock();
        chosen.iter().for_each(|id| state.reshard(table, id, children));
    }

    fn trouble(&mut self, happening: Happening) {
        let Some(seat) = self.a_running_seat() else { return };
        let Some(process) = self.seats[seat].process.as_ref() else { return };
        match happening {
            Happening::Kill => {
                process.kill(&self.world);
                let ms = self.dice.pick(&[0, 500, 5_000, 25_000]).unwrap_or(0);
                self.after(ms, Deed::Start(seat));
            }
            Happening::Stop => {
                process.stop();
                self.world.lock().tell(&process.who, Event::Note("told to stop".into()));
                let ms = self.dice.between(26_000, 40_000);
                self.after(ms, Deed::Start(seat));
            }
            Happening::Pause => {
                process.pause(&self.world);
                let ms = self.dice.pick(&[500, 3_000, 9_000, 12_000, 40_000]).unwrap_or(3_000);
                let ms = self.dice.between(ms / 2, ms);
                self.after(ms, Deed::Wake(seat));
            }
            _ => {
                let service = self.dice.pick(&Service::ALL);
                let ms = self.dice.pick(&[2_000, 9_000, 15_000, 45_000]).unwrap_or(2_000);
                let until_ms = self.now_ms() + self.dice.between(ms / 2, ms);
                if let Some(service) = service {
                    let mut state = self.world.lock();
                    state.faults.cut(&process.who, service, until_ms);
                    let note = format!("cut off from {service:?} until {until_ms}");
                    state.tell(&process.who, Event::Note(note));
                }
            }
        }
    }

    /// Whoever was struck by an ambush is woken or started anew after a while.
    pub(super) fn tend_the_struck(&mut self) {
        let struck = std::mem::take(&mut self.world.lock().struck);
        for who in struck {
            let is_it = |seat: &Seat| seat.process.as_ref().is_some_and(|process| process.who == who);
            let Some(seat) = self.seats.iter().position(is_it) else { continue };
            let is_paused = self.seats[seat].process.as_ref().is_some_and(|process| !process.has_ended());
            let ms = self.dice.pick(&[0, 1_000, 9_000, 15_000, 40_000]).unwrap_or(0);
            self.after(ms, if is_paused { Deed::Wake(seat) } else { Deed::Start(seat) });
        }
    }

    /// Pauses a process for long and starts another under its id.
    fn rival(&mut self) {
        let Some(seat) = self.a_running_seat() else { return };
        let Some(process) = self.seats[seat].process.take() else { return };
        process.pause(&self.world);
        self.rivals.push(process);
        self.start(seat);
    }

    pub(super) fn set_weather(&mut self, weather: BTreeMap<Service, Rates>) {
        let mut state = self.world.lock();
        state.happened(Event::Note(format!("weather {weather:?}")));
        state.faults.rates = weather;
    }
}
