"""The network under training: bound to its devices, stepped, read out and restored."""

import logging
import warnings

import numpy as np

from src.common import checkpoints
from src.common.errors import InputError, listed
from src.common.mxnet_backend import mx
from src.common.parameters import CLASSIFIER_PARAMETERS, compare
from src.symbols.channel_groups import group_channels
from src.symbols.cpu_graph import original_parameters, rewrite_prelu
from src.symbols.plain_concat import plain_concatenations
from src.training.heads import BETA, trained_form

log = logging.getLogger()  # 2018: its lines begin with "INFO:root:"


def wait_for_statistics():
    """Waits until the moving statistics of the last step are written.

    MXNet's batch normalisation writes them in the backward pass, of which a reader of the array
    does not know: without waiting it gets those of some steps ago, others each time.
    """
    mx.nd.waitall()


class TrainingModel:
    """A symbol with its parameters on its devices.

    What is bound is `heads.trained_form` of the symbol, in which SphereFace's beta is an input that
    is given at each step; on the CPU it is rewritten as well, several times as fast. What comes out
    and what is saved are the original's symbol and parameters.

    Parameters
    ----------
    symbol : Symbol
        Inputs `data` and `softmax_label`.
    contexts : list of Context
        The batch is divided evenly among them.

    Attributes
    ----------
    module : mx.mod.Module
    """

    def __init__(self, symbol, contexts):
        self.symbol = symbol
        bound = group_channels(trained_form(symbol))
        self.label_names = ["softmax_label"]
        if BETA in bound.list_arguments():
            self.label_names.append(BETA)
        if contexts[0].device_type == "cpu":
            bound = rewrite_prelu(plain_concatenations(bound), for_training=True)
        self.module = mx.mod.Module(bound, label_names=self.label_names, context=contexts)
        self.optimizer = None

    def bind(self, batch_size, data_shape, initializer, arg_params=None, aux_params=None):
        """Sets the parameters; those that are not given are drawn by `initializer`.

        Raises
        ------
        InputError
            Given parameters that do not fit the symbol.
        """
        shapes = [("data", (batch_size, *data_shape))]
        label_shapes = [(name, (batch_size,)) for name in self.label_names]
        if arg_params:
            self._check_given(dict(shapes + label_shapes[:1]), arg_params, aux_params)
        self.module.bind(data_shapes=shapes, label_shapes=label_shapes, for_training=True)
        self.module.init_params(
            initializer, arg_params=arg_params, aux_params=aux_params, allow_missing=True
        )

    def _check_given(self, input_shapes, arg_params, aux_params):
        found = compare(self.symbol, arg_params, aux_params or {}, input_shapes)
        if 2 * len(found.missing) > found.needed:
            raise InputError(
                f"{len(found.missing)} of the network's {found.needed} arrays are not in the "
                "checkpoint: do --network and --version-* say what it was trained with? "
                f"Missing are {listed(found.missing)}"
            )
        if found.wrong:
            raise InputError(
                f"the checkpoint does not fit --network, --emb-size and --version-*: "
                f"{listed(found.wrong)}"
            )
        if found.missing:
            log.warning(
                "%d of the network's %d arrays are not in the checkpoint and drawn anew: %s",
                len(found.missing),
                found.needed,
                listed(found.missing),
            )
        if found.surplus:
            expected = set(found.surplus) <= set(CLASSIFIER_PARAMETERS)
            log.log(
                logging.INFO if expected else logging.WARNING,
                "the network does not use these arrays of the checkpoint: %s",
                listed(found.surplus),
            )

    def init_optimizer(self, optimizer, kvstore="device"):
        """Makes the module ready to be stepped."""
        self.optimizer = optimizer
        with warnings.catch_warnings():
            # The heads' gradients are means over a device's batch already, so that rescale_grad is
            # 1/devices, not 1/images as MXNet expects.
            warnings.filterwarnings("ignore", "Optimizer created manually outside Module")
            self.module.init_optimizer(kvstore=kvstore, optimizer=optimizer)

    def step(self, batch, rate, beta=None):
        """One update from one batch at the given learning rate, and beta for SphereFace."""
        self.optimizer.lr = rate
        if BETA in self.label_names:
            labels = [*batch.label, mx.nd.full(batch.label[0].shape[:1], beta)]
            batch = mx.io.DataBatch(batch.data, labels)
        self.module.forward_backward(batch)
        self.module.update()

    def parameters(self):
        """(arg_params, aux_params) of the original symbol, on the CPU."""
        wait_for_statistics()
        return original_parameters(*self.module.get_params())

    def save(self, prefix, number):
        """Writes a checkpoint, whole or not at all; returns the path of its parameters."""
        arg_params, aux_params = self.parameters()
        path = checkpoints.save(prefix, number, self.symbol, arg_params, aux_params)
        log.info('Saved checkpoint to "%s"', path)
        return path

    def non_finite(self):
        """Names of the parameters that hold NaN or infinity."""
        arg_params, aux_params = self.parameters()
        every = {**arg_params, **aux_params}
        return [name for name, array in every.items() if not np.isfinite(array.asnumpy()).all()]

    def non_finite_outputs(self):
        """Names of the outputs of the last forward that hold NaN or infinity."""
        outputs = zip(self.module.output_names, self.module.get_outputs(), strict=True)
        return [name for name, array in outputs if not np.isfinite(array.asnumpy()).all()]

    def momentum(self):
        """Momentum by parameter name; empty before the first step, and without momentum."""
        names = self.optimizer.idx2name
        return {
            names.get(index, index): state
            for index, state in self._updater().states.items()
            if state is not None
        }

    def set_momentum(self, momentum):
        """Takes what `momentum` gave, on the same devices or others as many."""
        updater = self._updater()
        by_index = self.module._kvstore is None or not self.module._update_on_kvstore
        keys = self.optimizer.idx2name.items() if by_index else ((n, n) for n in momentum)
        for key, name in keys:
            if name in momentum:
                updater.states[key] = momentum[name].copy()
                updater.states_synced[key] = False

    def _updater(self):
        # MXNet tells this to nobody but a pickle, which would have to be unpickled to be read.
        module = self.module
        return module._kvstore._updater if module._update_on_kvstore else module._updater
