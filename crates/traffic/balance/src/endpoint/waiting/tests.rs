//! Tests of the waiting line.

use std::sync::atomic::AtomicBool;
use std::task::Wake;

use base_kit::{Moment, Rng, SeededRng};

use super::*;
use crate::endpoint::EndpointState;
use crate::fixture::pool_of;

fn is_called(place: &mut Place) -> bool {
    Pin::new(place).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

const HERE: EndpointId = EndpointId(1);
const THERE: EndpointId = EndpointId(2);

#[test]
fn first_come_first_served() {
    let line = Arc::new(WaitingLine::default());
    let mut places: Vec<Place> = (0..3).map(|_| line.enter(3, None).unwrap()).collect();
    assert!(line.enter(3, None).is_none(), "the line has its limit");
    assert!(!places.iter_mut().any(is_called));
    line.call_one(HERE);
    assert_eq!(places.iter_mut().map(is_called).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(line.len(), 2);
    line.call_all();
    assert!(places.iter_mut().all(is_called));
    assert!(line.is_empty());
}

#[test]
fn a_call_is_passed_on_by_whoever_is_gone() {
    let line = Arc::new(WaitingLine::default());
    let (first, second) = (line.enter(9, None).unwrap(), line.enter(9, None).unwrap());
    let mut third = line.enter(9, None).unwrap();
    drop(second);
    assert_eq!(line.len(), 2, "whoever leaves before the call calls nobody");
    line.call_one(HERE);
    assert!(!is_called(&mut third));
    drop(first);
    assert!(is_called(&mut third), "the first was called and is gone");
}

#[test]
fn room_that_was_used_is_not_passed_on() {
    let line = Arc::new(WaitingLine::default());
    let mut first = line.enter(9, None).unwrap();
    let mut second = line.enter(9, None).unwrap();
    assert!(!is_called(&mut first));
    line.call_one(HERE);
    first.leave(|| None);
    assert!(!is_called(&mut second));
}

#[test]
fn sessions_wait_for_their_endpoint_and_hold_up_nobody_else() {
    let line = Arc::new(WaitingLine::default());
    let mut bound = line.enter(9, Some(THERE)).unwrap();
    assert!(line.is_free(None) && line.is_free(Some(HERE)) && !line.is_free(Some(THERE)));
    let mut free = line.enter(9, None).unwrap();
    assert!(free.is_first(), "it may look for room elsewhere");
    assert!(!line.is_free(None) && !line.is_free(Some(HERE)), "others wait for any room");
    let late = line.enter(9, Some(THERE)).unwrap();
    assert!(!late.is_first() && bound.is_first());
    line.call_one(HERE);
    assert!(is_called(&mut free) && !is_called(&mut bound));
    line.call_one(HERE);
    assert_eq!(line.len(), 2, "room of no use to them calls neither");
    line.call_one(THERE);
    assert!(is_called(&mut bound));
    line.call_all();
    drop((bound, free, late));
    assert!(line.is_empty());
}

#[test]
fn one_session_leaves_places_to_others() {
    let line = Arc::new(WaitingLine::default());
    let bound: Vec<Place> = std::iter::from_fn(|| line.enter(5, Some(THERE))).collect();
    assert_eq!(bound.len(), 3);
    let others: Vec<Place> = std::iter::from_fn(|| line.enter(5, None)).collect();
    assert_eq!((others.len(), line.len()), (2, 5));
}

#[test]
fn whoever_leaves_calls_the_next_one_if_there_is_more_room() {
    let line = Arc::new(WaitingLine::default());
    let first = line.enter(9, None).unwrap();
    let mut second = line.enter(9, None).unwrap();
    let mut third = line.enter(9, None).unwrap();
    assert!(first.is_first() && !second.is_first());
    first.leave(|| Some(HERE));
    assert!(is_called(&mut second));
    second.leave(|| None);
    assert!(!is_called(&mut third));
    third.leave(|| -> Option<EndpointId> { unreachable!("nobody is left to be called") });
}

#[test]
fn whoever_was_outrun_keeps_its_place() {
    let line = Arc::new(WaitingLine::default());
    let mut first = line.enter(2, None).unwrap();
    let mut second = line.enter(2, None).unwrap();
    line.call_one(HERE);
    assert!(is_called(&mut first));
    let mut third = line.enter(2, None).unwrap();
    first.wait_on(None);
    first.wait_on(None);
    assert_eq!((line.len(), first.is_first()), (3, true), "nobody is turned away who has waited");
    assert!(!is_called(&mut first));
    let mut called = || {
        line.call_one(HERE);
        [&mut first, &mut second, &mut third].map(is_called)
    };
    assert_eq!(called(), [true, false, false]);
    assert_eq!(called(), [true, true, false]);
    assert_eq!(called(), [true, true, true]);
}

#[test]
fn those_that_are_gone_leave_no_hole() {
    let line = Arc::new(WaitingLine::default());
    let mut places: Vec<Option<Place>> = (0..100).map(|_| line.enter(100, None)).collect();
    places.iter_mut().step_by(2).for_each(|place| drop(place.take()));
    assert_eq!(line.len(), 50);
    let more: Vec<Place> = std::iter::from_fn(|| line.enter(100, None)).collect();
    assert_eq!((more.len(), line.len()), (50, 100));
    for place in places.iter_mut().flatten().chain(&mut more.into_iter().collect::<Vec<_>>()) {
        assert!(!is_called(place));
        line.call_one(HERE);
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
    let mut place = line.enter(1, None).unwrap();
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    assert!(Pin::new(&mut place).poll(&mut Context::from_waker(&waker)).is_pending());
    line.call_one(HERE);
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

struct Played {
    /// The endpoint of its session.
    only: Option<EndpointId>,
    step: Step,
}

/// A pool of endpoints with little room, and requests in every state.
struct Play {
    endpoints: Vec<Arc<EndpointState>>,
    line: Arc<WaitingLine>,
    room: u32,
    longest: u32,
    requests: Vec<Played>,
    rng: SeededRng,
}

impl Play {
    fn begin(&mut self, only: Option<EndpointId>) -> Option<Arc<EndpointState>> {
        let mut able = self.endpoints.iter().filter(|endpoint| only.is_none_or(|only| only == endpoint.id()));
        able.find(|endpoint| endpoint.try_begin(self.room)).map(Arc::clone)
    }

    fn arrive(&mut self) {
        let drawn = self.rng.below(2 * self.endpoints.len() as u64) as usize;
        let only = self.endpoints.get(drawn).map(|endpoint| endpoint.id());
        let begun = if self.line.is_free(only) { self.begin(only) } else { None };
        self.requests.push(Played { only, step: begun.map_or(Step::Refused, Step::Runs) });
    }

    /// Looks for room. `otherwise` is what becomes of it when there is none.
    fn look(&mut self, place: Place, only: Option<EndpointId>, otherwise: fn(Place) -> Step) -> Step {
        let Some(endpoint) = self.begin(only) else { return otherwise(place) };
        let rooms = self.endpoints.iter().filter(|endpoint| endpoint.has_room(self.room));
        place.leave(|| rooms.map(|endpoint| endpoint.id()));
        Step::Runs(endpoint)
    }

    /// What becomes of a request when it gets to do something; `None` when it is over.
    fn advance(&mut self, Played { only, step }: Played) -> Option<Played> {
        let step = match step {
            Step::Refused => Step::Entered(self.line.enter(self.longest, only)?),
            Step::Entered(place) if place.is_first() => self.look(place, only, Step::Waits),
            Step::Entered(place) => Step::Waits(place),
            Step::Waits(mut place) => {
                let next = if is_called(&mut place) { Step::Called } else { Step::Waits };
                next(place)
            }
            Step::Called(place) => self.look(place, only, Step::Outrun),
            Step::Outrun(mut place) => {
                place.wait_on(only);
                Step::Entered(place)
            }
            Step::Runs(endpoint) => {
                endpoint.end();
                return None;
            }
        };
        Some(Played { only, step })
    }

    fn advance_one(&mut self, wanted: fn(&Step) -> bool) -> bool {
        let able: Vec<usize> =
            (0..self.requests.len()).filter(|index| wanted(&self.requests[*index].step)).collect();
        let Some(index) = able.get(self.rng.below(able.len() as u64) as usize) else { return false };
        let played = self.requests.swap_remove(*index);
        let next = self.advance(played);
        self.requests.extend(next);
        true
    }

    /// Lets all do what they can while nobody ends: then nobody waits beside room.
    fn settle(&mut self) {
        for _ in 0..self.requests.len() * 30 + 30 {
            self.advance_one(|step| !matches!(step, Step::Runs(_)));
        }
        let mut waiting = 0;
        for Played { only, step } in &self.requests {
            match step {
                Step::Waits(_) => waiting += 1,
                Step::Runs(_) => continue,
                _ => panic!("all have come to rest"),
            }
            let is_good = |endpoint: &Arc<EndpointState>| only.is_none_or(|only| only == endpoint.id());
            let beside = |endpoint: &Arc<EndpointState>| endpoint.has_room(self.room) && is_good(endpoint);
            assert!(!self.endpoints.iter().any(beside), "it waits beside room");
        }
        assert_eq!(self.line.len(), waiting);
    }
}

#[test]
fn nobody_waits_beside_room_whatever_comes_in_between() {
    for seed in 0..400 {
        let mut rng = SeededRng::new(seed);
        let count = 1 + rng.below(3) as usize;
        let pool = pool_of("p", count);
        let (room, longest) = (1 + rng.below(3) as u32, 1 + rng.below(8) as u32);
        let (endpoints, line) = (pool.endpoints().to_vec(), Arc::clone(pool.waiting()));
        let mut play = Play { endpoints, line, room, longest, requests: Vec::new(), rng };
        for _ in 0..300 {
            match play.rng.below(10) {
                0..3 => play.arrive(),
                3..5 => drop(play.advance_one(|step| matches!(step, Step::Runs(_)))),
                // The client hangs up, or has waited too long: also just after it was called.
                5 => {
                    let waits = |played: &Played| matches!(played.step, Step::Waits(_));
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
