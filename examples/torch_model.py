"""Your own PyTorch model as a victim: a module, and the loop that trains it. Run: python examples/torch_model.py"""

import numpy as np
import torch
from torch import nn

import sharpap as sp


class TwoTowers(nn.Module):
    """A user and an item embedding, and a bias for each item."""

    def __init__(self, num_users, num_items, size=32):
        super().__init__()
        self.users, self.items = nn.Embedding(num_users, size), nn.Embedding(num_items, size)
        self.bias = nn.Parameter(torch.zeros(num_items))
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, users):
        """(len(users), num_items) scores."""
        return self.users(users) @ self.items.weight.T + self.bias


def train(model, matrix, seed, epochs=30, batch_size=256):
    """Softmax over the catalogue, in batches of users; `matrix` is users x items CSR, fake users at the end."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    order = np.random.default_rng(seed)
    for _ in range(epochs):
        for users in np.array_split(order.permutation(matrix.shape[0]), max(1, matrix.shape[0] // batch_size)):
            owned = torch.from_numpy(matrix[users].toarray())
            loss = -(owned * model(torch.from_numpy(users)).log_softmax(1)).sum() / max(float(owned.sum()), 1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


# `sharpap check-recommender torch_model:victim` says whether it is a proper victim; `--victim torch_model:victim` attacks it.
victim = sp.TorchModel(make=TwoTowers, train=train, score=TwoTowers.forward)


def main(data="ml-100k", attack=None, **settings):
    """Attack it; `settings` are those of `sharpap.stress_test`."""
    results = sp.stress_test(
        data,
        attacks={"sharpap": attack or sp.RevAdv(worst_case=sp.SharpnessAware())},
        victims={"two-towers": victim},
        targets=sp.TargetPool(draws=1),
        **settings,
    )
    print(results.transfer_matrix("H", k=10))
    return results


if __name__ == "__main__":
    main()
