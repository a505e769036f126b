#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Why BC-HG's baseline Naive-PGD climbs in DiscreteToy4 R1 although it drops the follower's response.

The baseline learns as BC-HG's code does (arXiv:2603.14867, commit 9c9d42cb): three episodes of 150 steps an
iteration, 20 steps of the critic and 2 of the leader on batches of 64, Adam with 1e-3 and 1e-4, a target
critic that moves by 0.01 an iteration. One thing at a time is replaced (doc/bilevel.md, "Leader and
follower"). The critic's targets are values of the most probable actions in its code:

    naive_pgd.py                              as it is
    naive_pgd.py --critic=expected            targets are expectations over both players' actions
    naive_pgd.py --critic=exact               no critic is learned: exact values in its place
    naive_pgd.py --critic=fixed-point         no critic is learned: the fixed point of the targets of the code
    naive_pgd.py --critic=exact --no-samples  the exact gradient
    naive_pgd.py --policy=table               a table in place of the network, for any critic

Each prints the leader's exact value, the mean over seeds, in the last tenth of the iterations and on the way,
and for each seed its probability of action 1 in state A, first and last. Needs PyTorch and NumPy
(Debian: python3-torch). Some minutes on one core each.
"""

import argparse

import numpy as np
import torch

S, A, B = 0, 1, 2
STEPS, EPISODES, BATCH = 150, 3, 64
DISCOUNT, TEMPERATURE = 0.99, 0.05

# ---- the process: [state, leader, follower] ----

NEXT = np.tile(np.arange(3)[:, None, None], (1, 2, 3))
FOLLOWER = np.zeros((3, 2, 3))
LEADER = np.zeros((3, 2, 3))
NEXT[S, :, 1], FOLLOWER[S, :, 1], LEADER[S, :, 1] = A, 1, 1
NEXT[S, :, 2], FOLLOWER[S, :, 2] = B, 1
NEXT[A, 0, 0] = S
NEXT[A, 0, 2], FOLLOWER[A, 0, 2] = B, 1
NEXT[A, 1, :], FOLLOWER[A, 1, :] = S, -1
NEXT[B, :, 0] = S


def best_response(leader, q):
    """Soft Q iteration of the averaged Q, from the last one: leader [n, 3, 2], q [n, 3, 2, 3]."""
    for _ in range(1000):
        mean = (leader[..., None] * q).sum(2) / TEMPERATURE
        top = mean.max(-1, keepdims=True)
        value = TEMPERATURE * (top + np.log(np.exp(mean - top).sum(-1, keepdims=True)))[..., 0]
        before, q = q, FOLLOWER + DISCOUNT * value[:, NEXT]
        if np.abs(q - before).max() < 1e-6:
            break
    weight = np.exp((q - q.max(-1, keepdims=True)) / TEMPERATURE)
    return q, weight / weight.sum(-1, keepdims=True)


def chain(leader, follower):
    """Joint policy [n, 3, 2, 3] and the transitions that it makes [n, 3, 3]."""
    joint = leader[..., None] * follower
    moves = np.zeros((len(leader), 3, 3))
    for s in range(3):
        for l in range(2):
            for b in range(3):
                moves[:, s, NEXT[s, l, b]] += joint[:, s, l, b]
    return joint, moves


def leader_value(leader, follower):
    joint, moves = chain(leader, follower)
    reward = (joint * LEADER).sum((2, 3))
    value = reward
    for _ in range(STEPS - 1):
        value = reward + DISCOUNT * np.einsum('nij,nj->ni', moves, value)
    return value[:, S]


def exact_q(leader, follower, by_mode):
    """The leader's Q of both policies, or of their most probable actions: [n, 3, 2, 3]."""
    joint = leader[..., None] * follower
    if by_mode:
        n, rows = np.arange(len(leader))[:, None], np.arange(3)[None]
        chosen = leader.argmax(-1)
        joint = np.zeros_like(joint)
        joint[n, rows, chosen, follower[n, rows, chosen].argmax(-1)] = 1
    value = np.zeros((len(leader), 3))
    for _ in range(1500):
        q = LEADER + DISCOUNT * value[:, NEXT]
        value = (joint * q).sum((2, 3))
    return q


# ---- networks, one per seed ----


class Network(torch.nn.Module):
    """Two hidden layers of 64 with ReLU, Xavier's uniform weights."""

    def __init__(self, seeds, inputs, outputs, width=64):
        super().__init__()
        self.weight, self.bias = torch.nn.ParameterList(), torch.nn.ParameterList()
        for rows, columns in ((inputs, width), (width, width), (width, outputs)):
            limit = (6 / (rows + columns)) ** 0.5
            self.weight.append(
                torch.nn.Parameter((torch.rand(seeds, rows, columns) * 2 - 1) * limit))
            self.bias.append(torch.nn.Parameter(torch.zeros(seeds, 1, columns)))

    def forward(self, x):
        for layer in range(3):
            x = torch.baddbmm(self.bias[layer], x, self.weight[layer])
            if layer < 2:
                x = torch.relu(x)
        return x


class Table(torch.nn.Module):
    def __init__(self, seeds):
        super().__init__()
        self.logits = torch.nn.Parameter(0.5 * torch.randn(seeds, 3, 2))

    def forward(self, x):
        return torch.bmm(x, self.logits)


def one_hot(index):
    return torch.eye(3)[torch.from_numpy(np.ascontiguousarray(index))]


def probabilities(policy, seeds):
    with torch.no_grad():
        return torch.softmax(policy(torch.eye(3).expand(seeds, 3, 3)), -1).numpy().astype(float)


def follow(target, source, rate=0.01):
    with torch.no_grad():
        for to, of in zip(target.parameters(), source.parameters()):
            to.mul_(1 - rate).add_(of * rate)


# ---- one experiment ----


class Trial:
    """All seeds side by side."""

    def __init__(self, options):
        self.options, self.seeds = options, options.seeds
        make = Table if options.policy == 'table' else lambda n: Network(n, 3, 2)
        torch.manual_seed(options.seed)
        self.policy = make(self.seeds)
        self.critic = Network(self.seeds, 6, 2)
        self.target_critic = Network(self.seeds, 6, 2)
        self.target_critic.load_state_dict(self.critic.state_dict())
        torch.manual_seed(options.seed)
        self.target_policy = make(self.seeds)
        self.policy_optimizer = torch.optim.Adam(self.policy.parameters(), lr=options.rate)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=1e-3)
        self.random = np.random.default_rng(options.seed)
        self.follower_q = np.zeros((self.seeds, 3, 2, 3))
        self.follower = np.full((self.seeds, 3, 2, 3), 1 / 3)
        self.row = np.arange(self.seeds)[:, None]

    def episodes(self, leader):
        """Steps of three episodes of each seed: [n, steps, (state, leader, follower, reward, next)]."""
        state = np.zeros((self.seeds, EPISODES), int)
        steps = np.zeros((self.seeds, STEPS, EPISODES, 5))
        for t in range(STEPS):
            l = (self.random.random(state.shape) > leader[self.row, state, 0]).astype(int)
            share = self.follower[self.row, state, l].cumsum(-1)
            b = np.minimum((self.random.random(state.shape)[..., None] > share).sum(-1), 2)
            after = NEXT[state, l, b]
            steps[:, t] = np.stack([state, l, b, LEADER[state, l, b], after], -1)
            state = after
        return steps.transpose(0, 2, 1, 3).reshape(self.seeds, EPISODES * STEPS, 5)

    def targets(self, reward, after):
        leader = probabilities(self.target_policy, self.seeds)
        with torch.no_grad():
            if self.options.critic == 'mode':
                l = leader[self.row, after].argmax(-1)
                b = self.follower[self.row, after, l].argmax(-1)
                q = self.target_critic(torch.cat([one_hot(after), one_hot(b)], -1))
                q = q.gather(2, torch.from_numpy(l)[..., None])[..., 0]
            else:
                q = 0
                for b in range(3):
                    x = torch.cat([one_hot(after), one_hot(np.full_like(after, b))], -1)
                    weight = leader[self.row, after] * self.follower[self.row, after][..., b]
                    q = q + (self.target_critic(x) * torch.from_numpy(weight).float()).sum(-1)
            return torch.from_numpy(reward).float() + DISCOUNT * q

    def step_critic(self, steps):
        index = self.random.integers(0, EPISODES * STEPS, (self.seeds, BATCH))
        batch = steps[self.row, index]
        state, l, b, after = (batch[..., k].astype(int) for k in (0, 1, 2, 4))
        target = self.targets(batch[..., 3], after)
        q = self.critic(torch.cat([one_hot(state), one_hot(b)], -1))
        q = q.gather(2, torch.from_numpy(l)[..., None])[..., 0]
        self.critic_optimizer.zero_grad()
        ((q - target) ** 2).mean(1).sum().backward()
        self.critic_optimizer.step()

    def sampled_loss(self, steps, share):
        index = np.stack([self.random.choice(EPISODES * STEPS, BATCH, p=share)
                          for _ in range(self.seeds)])
        batch = steps[self.row, index]
        state, l, b = (batch[..., k].astype(int) for k in range(3))
        if self.options.critic in ('exact', 'fixed-point'):
            q = exact_q(probabilities(self.policy, self.seeds), self.follower,
                        self.options.critic == 'fixed-point')
            q = torch.from_numpy(q[self.row, state, :, b]).float()
        else:
            with torch.no_grad():
                q = self.critic(torch.cat([one_hot(state), one_hot(b)], -1))
        logprob = torch.log_softmax(self.policy(one_hot(state)), -1)
        chosen = torch.from_numpy(l)[..., None]
        advantage = q - (q * logprob.detach().exp()).sum(-1, keepdim=True)
        return -(logprob.gather(2, chosen) * advantage.gather(2, chosen))[..., 0].mean(1).sum()

    def exact_loss(self):
        leader = probabilities(self.policy, self.seeds)
        _, moves = chain(leader, self.follower)
        now, visits = np.zeros((self.seeds, 3)), np.zeros((self.seeds, 3))
        now[:, S] = 1
        for t in range(STEPS):
            visits += DISCOUNT ** t * now
            now = np.einsum('ni,nij->nj', now, moves)
        visits /= visits.sum(1, keepdims=True)
        q = (self.follower * exact_q(leader, self.follower, False)).sum(-1)
        policy = torch.softmax(self.policy(torch.eye(3).expand(self.seeds, 3, 3)), -1)
        return -(torch.from_numpy(visits[..., None] * q).float() * policy).sum()

    def iterate(self):
        steps = self.episodes(probabilities(self.policy, self.seeds))
        share = DISCOUNT ** np.tile(np.arange(STEPS), EPISODES)
        share /= share.sum()
        if self.options.critic in ('mode', 'expected'):
            for _ in range(20):
                self.step_critic(steps)
        for _ in range(2):
            loss = self.exact_loss() if self.options.no_samples else self.sampled_loss(steps, share)
            self.policy_optimizer.zero_grad()
            loss.backward()
            self.policy_optimizer.step()
        follow(self.target_critic, self.critic)
        follow(self.target_policy, self.policy)
        leader = probabilities(self.policy, self.seeds)
        self.follower_q, self.follower = best_response(leader, self.follower_q)
        return leader_value(leader, self.follower), leader[:, A, 1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--critic', default='mode',
                        choices=['mode', 'expected', 'exact', 'fixed-point'])
    parser.add_argument('--policy', default='network', choices=['network', 'table'])
    parser.add_argument('--no-samples', action='store_true', help='the exact gradient')
    parser.add_argument('--rate', type=float, default=1e-4, help="the leader's learning rate")
    parser.add_argument('--iterations', type=int, default=500)
    parser.add_argument('--seeds', type=int, default=10)
    parser.add_argument('--seed', type=int, default=0, help='of all random numbers')
    options = parser.parse_args()
    torch.set_num_threads(1)
    trial = Trial(options)
    rows = [trial.iterate() for _ in range(options.iterations)]
    value = np.array([row[0] for row in rows])
    mean = value.mean(1)
    print('last tenth: %.2f' % mean[int(0.9 * len(mean)):].mean())
    for step in (50, 100, 200, 500):
        if step <= len(mean):
            print('after %d: %.2f' % (step, mean[step - 1]))
    print('P(1|A) of the seeds, first:', np.round(rows[0][1], 2), 'last:', np.round(rows[-1][1], 2))
    print('value of the seeds, last:', np.round(value[-1], 1))


if __name__ == '__main__':
    main()
