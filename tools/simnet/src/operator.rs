//! The operator: reloads, takes endpoints out and back, changes weights; the checks, which find endpoints sick or well; and the end.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base_model::Model;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use traffic_balance::{AdminState, CauseKind, EndpointState, Health};
use traffic_proxy::{Command, Plan};

use crate::dice::Dice;
use crate::scenario::Part;
use crate::settings;
use crate::world::World;

/// Operates until there is nothing left to do.
pub(crate) async fn run(world: Rc<World>, mut model: Model, commands: UnboundedSender<Command>) {
    let mut dice = Dice::of(world.scenario.seed, "operator");
    let count = if world.scenario.has(Part::Operator) { dice.between(0, 12) } else { 0 };
    for generation in 0..count as u64 {
        tokio::time::sleep(dice.millis(50, 1_500)).await;
        if dice.percent(40) {
            let next = settings::next(&model, &world.scenario, &mut dice);
            reload(&world, &model, &next, generation + 2, &commands).await;
            model = next;
        } else {
            disturb(&world, &mut dice);
        }
    }
}

/// As the node does it: for a moment a pool has its old endpoints and its new ones.
async fn reload(
    world: &Rc<World>,
    before: &Model,
    next: &Model,
    generation: u64,
    commands: &UnboundedSender<Command>,
) {
    world.note(|| format!("reload: generation {generation}"));
    world.count_operation("reload");
    let mut both = next.pools.clone();
    for (pool, old) in both.iter_mut().zip(&before.pools) {
        let known: Vec<_> = pool.endpoints.iter().map(|one| (one.host.clone(), one.port)).collect();
        let is_gone = |one: &&base_model::model::Endpoint| !known.contains(&(one.host.clone(), one.port));
        pool.endpoints.extend(old.endpoints.iter().filter(is_gone).cloned());
    }
    world.models.borrow_mut().push(next.clone());
    world.pools.reconcile(&both);
    world.meet_endpoints();
    match Plan::compile(generation, Arc::new(next.clone()), &world.pools) {
        Ok(plan) => {
            let (done, adopted) = oneshot::channel();
            let _ = commands.send(Command::Adopt(Arc::new(plan), done));
            let _ = adopted.await;
        }
        Err(error) => world.violate("no-panic", format!("a plan that cannot be compiled: {error}")),
    }
    world.pools.reconcile(&next.pools);
    world.has_changed();
    world.pools.check_invariants();
}

/// Does something to an endpoint.
fn disturb(world: &World, dice: &mut Dice) {
    let pools = world.pools.pools();
    let pool = &pools[dice.below(pools.len())];
    let endpoints = pool.endpoints();
    let endpoint: &EndpointState = &endpoints[dice.below(endpoints.len())];
    let word = match dice.below(6) {
        0 => {
            let _ = pool.set_weight(endpoint.name(), dice.pick(&[0, 1, 10]));
            "weight"
        }
        1 => admin(endpoint, AdminState::Drain),
        2 => admin(endpoint, AdminState::Maintenance),
        3 => admin(endpoint, AdminState::Ready),
        4 => {
            endpoint.set_health(Health::Down, CauseKind::TcpCheck, "simulated");
            "down"
        }
        _ => {
            endpoint.set_health(Health::Up, CauseKind::TcpCheck, "simulated");
            "up"
        }
    };
    world.has_changed();
    world.count_operation(word);
    world.note(|| format!("operator: {word} for {}/{}", pool.name(), endpoint.name()));
}

fn admin(endpoint: &EndpointState, state: AdminState) -> &'static str {
    endpoint.set_admin_state(state, "simulated");
    state.word()
}

/// Has the engine end: it may drain for so long, then what is left is cut.
pub(crate) async fn end(
    world: &World,
    patience: Duration,
    commands: &UnboundedSender<Command>,
    mut ended: tokio::task::JoinHandle<()>,
) {
    /// What is cut ends at once, but for what is under way in the network.
    const CUT_PATIENCE: Duration = Duration::from_millis(50);
    world.note(|| "drain".to_owned());
    world.ledger.borrow_mut().drained = Some(world.elapsed());
    let _ = commands.send(Command::Drain);
    if tokio::time::timeout(patience, &mut ended).await.is_ok() {
        return;
    }
    world.note(|| "cut".to_owned());
    world.ledger.borrow_mut().cut = Some(world.elapsed());
    world.count_operation("cut");
    let _ = commands.send(Command::Cut);
    let over = tokio::time::timeout(CUT_PATIENCE, &mut ended).await;
    world.check("drain-ends", over.is_ok(), || "the engine runs on after it was cut".to_owned());
}
