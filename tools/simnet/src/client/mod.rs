//! Clients: they connect, ask, wait for what they asked for and look at every byte of it; some go, stall or dawdle.

mod asking;
mod session;

use std::cell::RefCell;
use std::rc::Rc;

use crate::dice::Dice;
use crate::scenario::Part;
use crate::world::World;

use session::Session;

/// What a client has been told to bring along, and the endpoint that it was told so by.
type Jar = RefCell<[Option<(String, u32)>; 2]>;

/// A client, from its first connection to its last.
pub(crate) async fn run(world: Rc<World>, number: u32) {
    let mut dice = Dice::of(world.scenario.seed, &format!("client {number}"));
    let jar = Jar::default();
    tokio::time::sleep(dice.millis(0, 1_500)).await;
    for session in 0..dice.between(1, 4).min(world.scenario.sessions as usize) {
        let seed = dice.seed();
        let Some(end) = world.dial(number).await else {
            return world.note(|| format!("client {number} finds nobody"));
        };
        let name = format!("{number}-{session}");
        world.note(|| format!("client {number} has link {}", end.link));
        Session::new(&world, &jar, name, end, Dice::of(seed, "session")).run().await;
        let pause = dice.millis(0, 400);
        tokio::time::sleep(pause).await;
    }
}

/// Whether this client's connection gets some trouble.
fn has_fault(world: &World, dice: &mut Dice) -> bool {
    world.scenario.has(Part::ClientFaults) && dice.percent(35)
}
