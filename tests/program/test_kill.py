"""Trainings that are killed at random moments, and two at once: whatever happens, the model in the
end is that of an undisturbed training, and nothing is left beside it."""

import json
import random
import signal
import subprocess
import time

import small
from program import ProgramTest, main

KILLS = 100
EPOCHS = 150
INTERRUPTED = 130  # exit status


class Kill(ProgramTest):
    def setUp(self):
        super().setUp()
        weights = self.folder / "weights"
        weights.write_bytes(small.safetensors(small.weights()))
        self.expert = self.folder / "expert.safetensors"
        self.expect(0, "import", weights, "-o", self.expert, "--arch", "vgg11")
        self.recipe = self.folder / "recipe.json"
        self.recipe.write_text(json.dumps({**small.RECIPE, "epochs": str(EPOCHS)}))
        self.data = self.folder / "data"
        small.make_category(self.data)
        self.out = self.folder / "out"
        self.out.mkdir()
        self.model = self.out / "model.mkd"

    def arguments(self, seed, *more):
        return [
            "train", self.data, "-o", self.model, "--recipe", self.recipe, "--expert", self.expert,
            "--seed", str(seed), "--threads", "1", "-q", *more,
        ]  # fmt: skip

    def start(self, seed, *more):
        return subprocess.Popen(
            self.program.command(*self.arguments(seed, *more)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def undisturbed(self, seed):
        """The model's bytes, and the seconds that it took."""
        begin = time.monotonic()
        self.expect(0, *self.arguments(seed))
        seconds = time.monotonic() - begin
        model = self.model.read_bytes()
        self.model.unlink()
        return model, seconds

    def assert_left(self, *names):
        """Nothing else is in the output's folder."""
        self.assertEqual(sorted(path.name for path in self.out.iterdir()), sorted(names))

    def test_training_survives(self):
        expected, seconds = self.undisturbed(0)
        generator = random.Random(6)
        kills = {signal.SIGKILL: 0, signal.SIGINT: 0}
        trainings = half_written = 0
        while sum(kills.values()) < KILLS:
            process = self.start(0, "--resume")
            how = min(kills, key=kills.get)
            try:
                process.wait(generator.uniform(0.02, 0.8) * seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(how)
            errors = process.communicate()[1]
            if process.returncode != 0:
                killed = -signal.SIGKILL if how == signal.SIGKILL else INTERRUPTED
                # A program that does not catch SIGINT yet, or no longer, dies of it.
                self.assertIn(process.returncode, [killed, -how], errors)
                kills[how] += 1
            # One that is killed behind its last step has written the model.
            if self.model.exists():
                self.assertEqual(self.model.read_bytes(), expected)
                self.model.unlink()
                trainings += 1
            for path in self.out.glob("*.tmp"):
                path.unlink()
                half_written += 1
        self.expect(0, *self.arguments(0, "--resume"))
        self.assertEqual(self.model.read_bytes(), expected)
        self.assert_left("model.mkd")
        print(f"{KILLS} kills, {trainings + 1} trainings, {half_written} files half written")

    def test_earlier_model_stays(self):
        """A training that is killed leaves the model of the one before it."""
        earlier, _ = self.undisturbed(1)
        expected, seconds = self.undisturbed(0)
        self.model.write_bytes(earlier)
        stayed = 0
        for part in range(4):
            process = self.start(0, "--resume")
            time.sleep(seconds * (0.1 + 0.15 * part))
            process.kill()
            process.communicate()
            self.assertIn(self.model.read_bytes(), [earlier, expected])
            stayed += process.returncode != 0 and self.model.read_bytes() == earlier
        self.assertGreater(stayed, 0)
        self.expect(0, *self.arguments(0, "--resume"))
        self.assertEqual(self.model.read_bytes(), expected)

    def test_two_at_once(self):
        """One of both models is there in the end, and whole."""
        models = [self.undisturbed(seed)[0] for seed in range(2)]
        for _ in range(5):
            processes = [self.start(seed) for seed in range(2)]
            for process in processes:
                errors = process.communicate()[1]
                self.assertEqual(process.returncode, 0, errors)
            self.assertIn(self.model.read_bytes(), models)
            self.model.unlink()
            self.assert_left()

    def test_other_training(self):
        """What one training has begun is not gone on with by another."""
        _, seconds = self.undisturbed(0)
        process = self.start(0)
        time.sleep(seconds / 2)
        process.send_signal(signal.SIGINT)
        errors = process.communicate()[1]
        self.assertEqual(process.returncode, INTERRUPTED, errors)
        checkpoint = self.out / "model.mkd.ckpt"
        before = checkpoint.read_bytes()
        done = self.expect(3, *self.arguments(1, "--resume"))
        self.assertIn(b"model.mkd.ckpt", done.stderr)
        self.assertEqual(checkpoint.read_bytes(), before)


if __name__ == "__main__":
    main()
