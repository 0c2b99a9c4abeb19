//! Tests of the waiting line.

use std::sync::atomic::AtomicBool;
use std::task::Wake;

use base_kit::{Moment, Rng, SeededRng};

use super::*;
use crate::endpoint::EndpointState;
use crate::fixture::{endpoint, pool};
use crate::pool::PoolState;

fn is_called(place: &mut Place) -> bool {
    Pin::new(place).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn first_come_first_served() {
    let line = Arc::new(WaitingLine::default());
    let mut places: Vec<Place> = (0..3).map(|_| line.enter(3).unwrap()).collect();
    assert!(line.enter(3).is_none(), "the line has its limit");
    assert!(!places.iter_mut().any(is_called));
    line.call_one();
    assert_eq!(places.iter_mut().map(is_called).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(line.len(), 2);
    line.call_all();
    assert!(places.iter_mut().all(is_called));
    assert!(line.is_empty());
}

#[test]
fn a_call_is_passed_on_by_whoever_is_gone() {
    let line = Arc::new(WaitingLine::default());
    let (first, second) = (line.enter(9).unwrap(), line.enter(9).unwrap());
    let mut third = line.enter(9).unwrap();
    drop(second);
    assert_eq!(line.len(), 2, "whoever leaves before the call calls nobody");
    line.call_one();
    assert!(!is_called(&mut third));
    drop(first);
    assert!(is_called(&mut third), "the first was called and is gone");
}

#[test]
fn room_that_was_used_is_not_passed_on() {
    let line = Arc::new(WaitingLine::default());
    let mut first = line.enter(9).unwrap();
    let mut second = line.enter(9).unwrap();
    assert!(!is_called(&mut first));
    line.call_one();
    first.leave(|| false);
    assert!(!is_called(&mut second));
}

#[test]
fn whoever_leaves_calls_the_next_one_if_there_is_more_room() {
    let line = Arc::new(WaitingLine::default());
    let first = line.enter(9).unwrap();
    let mut second = line.enter(9).unwrap();
    let mut third = line.enter(9).unwrap();
    assert!(first.is_first() && !second.is_first());
    first.leave(|| true);
    assert!(is_called(&mut second));
    second.leave(|| false);
    assert!(!is_called(&mut third));
    third.leave(|| unreachable!("nobody is left to be called"));
}

#[test]
fn whoever_was_outrun_keeps_its_place() {
    let line = Arc::new(WaitingLine::default());
    let mut first = line.enter(2).unwrap();
    let mut second = line.enter(2).unwrap();
    line.call_one();
    assert!(is_called(&mut first));
    let mut third = line.enter(2).unwrap();
    first.wait_on();
    first.wait_on();
    assert_eq!((line.len(), first.is_first()), (3, true), "nobody is turned away who has waited");
    assert!(!is_called(&mut first));
    let mut called = || {
        line.call_one();
        [&mut first, &mut second, &mut third].map(is_called)
    };
    assert_eq!(called(), [true, false, false]);
    assert_eq!(called(), [true, true, false]);
    assert_eq!(called(), [true, true, true]);
}

#[test]
fn those_that_are_gone_leave_no_hole() {
    let line = Arc::new(WaitingLine::default());
    let mut places: Vec<Option<Place>> = (0..100).map(|_| line.enter(100)).collect();
    places.iter_mut().step_by(2).for_each(|place| drop(place.take()));
    assert_eq!(line.len(), 50);
    let more: Vec<Place> = std::iter::from_fn(|| line.enter(100)).collect();
    assert_eq!((more.len(), line.len()), (50, 100));
    for place in places.iter_mut().flatten().chain(&mut more.into_iter().collect::<Vec<_>>()) {
        assert!(!is_called(place));
        line.call_one();
        assert!(is_called(place), "in the order in which they came");
    }
    assert!(line.is_empty());
}

/// Whether it was woken since the last look.
#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_call_wakes_whoever_waits() {
    let line = Arc::new(WaitingLine::default());
    let mut place = line.enter(1).unwrap();
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    assert!(Pin::new(&mut place).poll(&mut Context::from_waker(&waker)).is_pending());
    line.call_one();
    assert!(bell.0.load(Ordering::SeqCst));
    assert!(is_called(&mut place));
}

/// A request as the proxy serves it, taken apart into the steps between which others may come.
enum Step {
    /// It has found no room and is about to stand in line.
    Refused,
    /// It stands in line and has not looked for room since.
    Entered(Place),
    Waits(Place),
    /// It was called and has not looked for room yet.
    Called(Place),
    /// It was called in vain and is about to wait on.
    Outrun(Place),
    Runs(Arc<EndpointState>),
}

/// A pool of endpoints with little room, and requests in every state.
struct Play {
    endpoints: Vec<Arc<EndpointState>>,
    line: Arc<WaitingLine>,
    room: u32,
    longest: u32,
    requests: Vec<Step>,
    rng: SeededRng,
}

impl Play {
    fn begin(&mut self) -> Option<Arc<EndpointState>> {
        self.endpoints.iter().find(|endpoint| endpoint.try_begin(self.room)).map(Arc::clone)
    }

    fn arrive(&mut self) {
        let step =
            if self.line.is_empty() { self.begin().map_or(Step::Refused, Step::Runs) } else { Step::Refused };
        self.requests.push(step);
    }

    /// Looks for room. `otherwise` is what becomes of it when there is none.
    fn look(&mut self, place: Place, otherwise: fn(Place) -> Step) -> Step {
        match self.begin() {
            Some(endpoint) => {
                place.leave(|| self.endpoints.iter().any(|endpoint| endpoint.has_room(self.room)));
                Step::Runs(endpoint)
            }
            None => otherwise(place),
        }
    }

    /// What becomes of a request when it gets to do something; `None` when it is over.
    fn advance(&mut self, step: Step) -> Option<Step> {
        Some(match step {
            Step::Refused => Step::Entered(self.line.enter(self.longest)?),
            Step::Entered(place) if place.is_first() => self.look(place, Step::Waits),
            Step::Entered(place) => Step::Waits(place),
            Step::Waits(mut place) => {
                let next = if is_called(&mut place) { Step::Called } else { Step::Waits };
                next(place)
            }
            Step::Called(place) => self.look(place, Step::Outrun),
            Step::Outrun(mut place) => {
                place.wait_on();
                Step::Entered(place)
            }
            Step::Runs(endpoint) => {
                endpoint.end();
                return None;
            }
        })
    }

    fn advance_one(&mut self, wanted: fn(&Step) -> bool) -> bool {
        let able: Vec<usize> =
            (0..self.requests.len()).filter(|index| wanted(&self.requests[*index])).collect();
        let Some(index) = able.get(self.rng.below(able.len() as u64) as usize) else { return false };
        let step = self.requests.swap_remove(*index);
        let next = self.advance(step);
        self.requests.extend(next);
        true
    }

    /// Lets all do what they can while nobody ends: then nobody waits beside room.
    fn settle(&mut self) {
        for _ in 0..self.requests.len() * 20 + 20 {
            self.advance_one(|step| !matches!(step, Step::Runs(_)));
        }
        let waiting = self.requests.iter().filter(|step| matches!(step, Step::Waits(_))).count();
        let running = self.requests.iter().filter(|step| matches!(step, Step::Runs(_))).count();
        assert_eq!(waiting + running, self.requests.len(), "all have come to rest");
        assert_eq!(self.line.len() as usize, waiting);
        let all = self.room as usize * self.endpoints.len();
        assert!(waiting == 0 || running == all, "{waiting} wait, and {running} of {all} run");
    }
}

#[test]
fn nobody_waits_beside_room_whatever_comes_in_between() {
    for seed in 0..400 {
        let mut rng = SeededRng::new(seed);
        let count = 1 + rng.below(3) as usize;
        let pool = PoolState::new(&pool("p", (0..count).map(|number| endpoint(number, 1)).collect()));
        let (room, longest) = (1 + rng.below(3) as u32, 1 + rng.below(8) as u32);
        let (endpoints, line) = (pool.endpoints().to_vec(), Arc::clone(pool.waiting()));
        let mut play = Play { endpoints, line, room, longest, requests: Vec::new(), rng };
        for _ in 0..300 {
            match play.rng.below(10) {
                0..3 => play.arrive(),
                3..5 => drop(play.advance_one(|step| matches!(step, Step::Runs(_)))),
                // The client hangs up, or has waited too long: also just after it was called.
                5 => {
                    let waits = |step: &Step| matches!(step, Step::Waits(_));
                    let gone = play.requests.iter().position(waits);
                    drop(gone.map(|index| play.requests.swap_remove(index)));
                }
                6 if play.rng.below(5) == 0 => {
                    pool.set_weight("10.0.0.0:80", 1).unwrap();
                }
                7 if play.rng.below(5) == 0 => play.settle(),
                _ => drop(play.advance_one(|step| !matches!(step, Step::Runs(_)))),
            }
            assert!(pool.endpoints().iter().all(|endpoint| endpoint.in_flight() <= room));
        }
        play.settle();
        while play.advance_one(|step| matches!(step, Step::Runs(_))) {
            play.settle();
        }
        assert!(play.requests.is_empty() && pool.waiting().is_empty(), "all were served");
        assert_eq!(pool.eligible(Moment::ZERO).len(), count);
    }
}
