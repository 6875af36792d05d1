# SPDX-License-Identifier: MIT
"""What is killed: a command in a prepared world, and how the world goes on afterwards."""
from world import TEMPLATE, Fault

ORDERS = 20
# Where a command is killed and not the orchestrator, which then only has to finish.
FEW_ORDERS = 3


class Scene:
    """`words` is the command that is killed. After the kill it is run again as a person
    would do, if it is `repeated`, then an orchestrator and agents finish all orders."""

    orders = FEW_ORDERS
    agents = False        # while the command runs
    from_sigterm = False  # calls are counted from SIGTERM on
    repeated = True
    codes = (0,)          # of the repeated command
    until = None          # the orchestrator gets SIGTERM then

    def __init__(self, name, words):
        self.name = name
        self.words = words

    def prepare(self, world):
        """Makes the world in which the command is killed; once."""
        world.swm("migrate")
        world.swm("template", "apply", str(TEMPLATE))

    def again(self, world):
        world.swm(*self.words, codes=self.codes)

    def finish(self, world):
        """Brings what is left of the world to its end, and looks at it."""
        if self.repeated:
            self.again(world)
        world.start_agents()
        world.start_orchestrator()
        world.wait_for(lambda at: at.completed() == self.orders and at.owed() == 0,
                       f"{self.orders} orders are COMPLETED and nothing is owed")
        world.stop_orchestrator()
        world.check_files()
        world.judge(self.orders)


class Run(Scene):
    """From the first instruction to the end of the last order, with agents that answer."""
    orders = ORDERS
    agents = True
    repeated = False

    def __init__(self, name="run"):
        super().__init__(name, ["run"])

    def prepare(self, world):
        super().prepare(world)
        world.feed(0, self.orders)

    def until(self, world):
        return world.completed() == self.orders


class Alone(Run):
    """Nobody but the orchestrator has the files open, so that the next one to open them
    has to recover them."""
    agents = False

    def until(self, world):
        return world.instances() == self.orders


class Again(Run):
    """The start after a kill: an unfinished WAL, leases of the dead, half of the work."""

    def prepare(self, world):
        super().prepare(world)
        world.start_agents()
        traced = world.trace(world.place.swm("run"), until=self.until, at=self.first_kill)
        if not traced.killed:
            raise Fault(f"the first kill, at {self.first_kill}, was not reached")
        world.processes.pop("agents").kill()

    first_kill = "2:600:after"  # of the processor, amid the second stage


class Stop(Run):
    """The orderly end, amid the work."""
    from_sigterm = True

    def until(self, world):
        return (world.completed() or 0) > 0


class Migrate(Scene):
    def prepare(self, world):
        pass

    def finish(self, world):
        self.again(world)
        world.swm("template", "apply", str(TEMPLATE))
        world.feed(0, self.orders)
        self.repeated = False
        super().finish(world)


class Apply(Scene):
    def prepare(self, world):
        world.swm("migrate")
        world.feed(0, self.orders)


class Start(Scene):
    """One order is started by the command; twice, when it is repeated, which is no matter."""

    def prepare(self, world):
        super().prepare(world)
        world.feed(1, self.orders - 1)


class Send(Start):
    def prepare(self, world):
        super().prepare(world)
        (world.dir / "event.json").write_text(
            '{"event_name":"StartWorkflow","event_id":"by-hand","component_name":"STORM",'
            '"business_ref_no":"ORDER-000000"}')


class Complete(Scene):
    def prepare(self, world):
        super().prepare(world)
        world.feed(0, self.orders)
        world.start_orchestrator()
        world.wait_for(lambda at: at.instances() == self.orders, "all are started")
        world.stop_orchestrator()


class Requeue(Scene):
    """Orders that came before their template."""

    def prepare(self, world):
        world.swm("migrate")
        world.feed(0, self.orders)
        world.start_orchestrator()
        world.wait_for(lambda at: at.parked() == self.orders, "all are parked")
        world.stop_orchestrator()
        world.swm("template", "apply", str(TEMPLATE))


class Drop(Scene):
    def prepare(self, world):
        super().prepare(world)
        (world.dir / "noise").write_bytes(b"no event at all")
        world.swm("send", "--raw", "--no-wait", "noise")
        world.start_orchestrator()
        world.wait_for(lambda at: at.parked() == 1, "it is parked")
        world.stop_orchestrator()
        world.feed(0, self.orders)
        self.words.append(world.number("SELECT id FROM wf_outbox"))


def all_scenes():
    requeue = Requeue("requeue", ["parked", "requeue", "--all"])
    drop = Drop("drop", ["parked", "drop"])
    drop.codes = (0, 3)
    return [
        Run(),
        Again("again"),
        Stop("stop"),
        Alone("alone"),
        Migrate("migrate", ["migrate"]),
        Apply("apply", ["template", "apply", str(TEMPLATE)]),
        Start("start", ["start", "STORM", "ORDER-000000", "--no-wait"]),
        Send("send", ["send", "event.json", "--no-wait"]),
        Complete("complete", ["complete", "STORM", "ORDER-000000", "confirm_order", "--no-wait"]),
        requeue,
        drop,
    ]
