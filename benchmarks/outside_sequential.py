"""Train RecTools' SASRec and write its scores; runs in RecTools' environment, called by sequential.py.

    python outside_sequential.py FOLDER KEY=VALUE ...

FOLDER/data.npz holds users, items, places (the order of a user's items), validation (a mask) and shape (users, items).
The settings are those of SASRecModel, and patience. Writes FOLDER/scores.npy, float32 (users, items), -inf for items that
were not seen, and FOLDER/log.json: the best validation Recall@10 (with a user's own items left out), its epoch, processor
seconds, versions.
"""
# pyright: reportMissingImports=false

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from rectools import __version__
from rectools.dataset import Dataset
from rectools.models import SASRecModel

K = 10


class Best(Callback):
    """Keeps the state with the best validation Recall@10, and ends the training when there was no better one for a while."""

    def __init__(self, patience: int) -> None:
        self.patience, self.score, self.epoch, self.state, self.found = patience, -1.0, 0, {}, []

    def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0) -> None:
        """Hits of one batch of users."""
        scores = module.torch_model.similarity_module(
            module.torch_model.encode_sessions(batch, module.item_embs)[:, -1], module.item_embs
        )
        scores = scores.scatter(1, batch["x"], -torch.inf)
        self.found.append((scores.topk(K).indices == batch["y"][:, :1]).any(1).float())

    def on_validation_epoch_end(self, trainer, module) -> None:
        """Compare, and keep."""
        score, self.found = float(torch.cat(self.found).mean()), []
        if not trainer.sanity_checking and score > self.score:
            self.score, self.epoch = score, trainer.current_epoch + 1
            self.state = {name: part.clone() for name, part in module.state_dict().items()}
        trainer.should_stop = trainer.current_epoch + 1 - self.epoch >= self.patience


def main() -> None:
    """Train on all but the validation items, then read everything."""
    folder = Path(sys.argv[1])
    settings = dict(given.split("=", 1) for given in sys.argv[2:])
    settings = {key: json.loads(value) for key, value in settings.items()}
    patience, epochs = settings.pop("patience", 20), settings.pop("epochs", 200)
    torch.set_num_threads(1)
    seed_everything(0)
    data = np.load(folder / "data.npz", allow_pickle=False)
    frame = pd.DataFrame({
        "user_id": data["users"], "item_id": data["items"], "weight": 1.0,
        "datetime": pd.to_datetime(data["places"], unit="s"), "held": data["validation"],
    })  # fmt: skip
    held = set(zip(*frame.loc[frame["held"], ["user_id", "item_id"]].to_numpy().T.tolist(), strict=True))

    def validation(interactions: pd.DataFrame) -> np.ndarray:
        pairs = zip(interactions["user_id"].tolist(), interactions["item_id"].tolist(), strict=True)
        return np.array([pair in held for pair in pairs])

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=epochs, callbacks=[Best(patience)], accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, deterministic=True,
        )  # fmt: skip

    model = SASRecModel(
        **settings, get_val_mask_func=validation, get_trainer_func=trainer, recommend_torch_device="cpu"
    )
    dataset = Dataset.construct(frame[["user_id", "item_id", "weight", "datetime"]])
    start = time.process_time()
    model.fit(dataset)
    seconds = time.process_time() - start
    best = next(
        each for each in model.fit_trainer.callbacks if isinstance(each, Best)
    )  # RecTools copies what it is given
    model.lightning_model.load_state_dict(best.state)
    users, num_items = np.unique(data["users"]), int(data["shape"][1])
    listed = model.recommend(users=users, dataset=dataset, k=num_items, filter_viewed=False)
    scores = np.full(data["shape"], -np.inf, np.float32)
    scores[listed["user_id"].to_numpy(), listed["item_id"].to_numpy()] = listed["score"].to_numpy()
    np.save(folder / "scores.npy", scores)
    log = {"valid": best.score, "epochs": best.epoch, "seconds": seconds, "rectools": __version__}
    (folder / "log.json").write_text(json.dumps(log | {"torch": torch.__version__}))


if __name__ == "__main__":
    main()
