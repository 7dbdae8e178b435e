"""Where common notes on optimizers are imprecise, and what is right: text for lessons and for `departures`."""

from functools import partial

from ..parts import Erratum, corrections

ERRATA = {
    "E1.1": Erratum(
        "the batches of an epoch are numbered u = 0 ... U with U = ceil(N/B)",
        "there are U batches, u = 0 ... U - 1, and the last one has N - B(U - 1) samples", "minibatch-sgd"),
    "E1.2": Erratum(
        "on a convex function a higher learning rate converges faster",
        "only up to a point: the best constant rate is 2/(L + m), and above 2/L the method diverges "
        "(L and m are the largest and smallest curvature)", "sgd"),
    "E1.3": Erratum(
        "the velocity is a weighted average of past steps",
        "it is a weighted sum: the weights mu^k add up to 1/(1 - mu), so a steady gradient is followed with the "
        "effective rate lr/(1 - mu)", "momentum"),
    "E1.4": Erratum(
        "Adam without debiasing starts with small steps",
        "with steps that are too large: m is small but the root of s is smaller, their ratio is "
        "(1 - b1)/sqrt(1 - b2) = 3.16 for the usual betas", "adam"),
    "E1.5": Erratum(
        "debiased moments carry the index t on one side and t + 1 on the other",
        "with t = 1, 2, ... it is mh_t = m_t/(1 - b1^t) and sh_t = s_t/(1 - b2^t)", "adam"),
    "E1.6": Erratum(
        "Adam's ratio mh/sqrt(sh) is bounded, without saying by what",
        "a single spike after silence reaches 3.162; over all gradient sequences the supremum is "
        "(1 - b1)/sqrt((1 - b2)(1 - b1^2/b2)) = 7.270", "adam"),
    "E1.7": Erratum(
        "AdamW subtracts lambda*theta",
        "the paper scales it by the schedule factor, PyTorch and timm by the whole learning rate: the same lambda "
        "means very different decays (decay='plain' and decay='lr')", "adamw"),
    "E1.8": Erratum(
        "beta lies in the closed interval [0, 1]",
        "all of mu, beta, b1, b2 lie in [0, 1): at 1 nothing new would ever enter the average", "rmsprop"),
    "E1.9": Erratum(
        "the Newton step reaches the minimum of the parabola",
        "it reaches its stationary point, a minimum only for f'' > 0 (H positive definite); and with lr other "
        "than 1 even a quadratic takes many steps", "newton-1d"),
    "E1.10": Erratum(
        "momentum is defined with the learning rate inside the velocity",
        "PyTorch keeps it outside; both give the same iterates only while the rate is constant", "momentum"),
    "E1.11": Erratum(
        "an L2 penalty and weight decay are the same for SGD",
        "for plain SGD (with decay lr*lambda); with momentum they differ", "adam-l2"),
    "E1.12": Erratum(
        "AdaGrad's s increases monotonically",
        "it never decreases: where the gradient is zero it stays", "adagrad"),
}

departures = partial(corrections, ERRATA)
