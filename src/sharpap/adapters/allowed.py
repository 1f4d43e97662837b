"""What may be set in RecBole and RecTools: their models, the options of each, and the words that an option may be.

A recipe names these options, and the libraries do more with them than take a value: RecBole evaluates every text, loads
pretrained models from any path and calls other machines; RecTools imports any class that it is given. So an option is
handed on only where it stands here, with numbers or one of its words for a value. The lists belong to the pinned versions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sharpap.errors import ConfigError, suggest

Words = tuple[str, ...]
Options = dict[str, Words]  # dotted names; without words an option takes numbers, true and false, and lists of them
LARGEST = 2**63 - 1


def _numbers(names: str) -> Options:
    return dict.fromkeys(names.split(), ())


_ACTIVATIONS = ("sigmoid", "tanh", "relu", "leakyrelu", "none")
_KNN = {"knn_method": ("item", "user")}
_DIFFUSION = _numbers(
    "noise_scale noise_min noise_max sampling_noise sampling_steps reweight steps history_num_per_term beta_fixed "
    "dims_dnn embedding_size w_max w_min norm"
) | {
    "noise_schedule": ("linear", "linear-var", "cosine", "binomial"), "mean_type": ("x0", "eps"),
    "mlp_act_func": _ACTIVATIONS,
}  # fmt: skip
_TRAINING = _numbers(
    "epochs train_batch_size learning_rate weight_decay shuffle require_pow train_neg_sample_args.sample_num "
    "train_neg_sample_args.alpha train_neg_sample_args.dynamic train_neg_sample_args.candidate_num "
    "clip_grad_norm.max_norm clip_grad_norm.norm_type"
) | {
    "learner": ("adam", "adamw", "sgd", "adagrad", "rmsprop", "sparse_adam"),
    "train_neg_sample_args.distribution": ("uniform", "popularity", "none"),
}  # fmt: skip
_OF_RECBOLE: dict[str, Options] = {
    "ADMMSLIM": _numbers("lambda1 lambda2 alpha rho k positive_only center_columns"),
    "AsymKNN": _numbers("k q beta alpha") | _KNN,
    "BPR": _numbers("embedding_size"),
    "CDAE": _numbers("corruption_ratio embedding_size reg_weight_1 reg_weight_2") | {
        "loss_type": ("BCE", "MSE"), "hid_activation": ("sigmoid", "relu", "tanh"), "out_activation": ("sigmoid", "relu"),
    },
    "ConvNCF": _numbers("embedding_size cnn_channels cnn_kernels cnn_strides dropout_prob reg_weights"),
    "DGCF": _numbers("embedding_size n_factors n_iterations n_layers reg_weight cor_weight"),
    "DMF": _numbers("user_embedding_size item_embedding_size user_hidden_size_list item_hidden_size_list"),
    "DiffRec": _DIFFUSION,
    "EASE": _numbers("reg_weight"),
    "ENMF": _numbers("embedding_size dropout_prob reg_weight negative_weight"),
    "FISM": _numbers("embedding_size split_to reg_weights alpha"),
    "GCMC": _numbers("gcn_output_dim embedding_size dropout_prob sparse_feature class_num num_basis_functions")
    | {"accum": ("stack", "sum")},
    "ItemKNN": _numbers("k shrink") | _KNN,
    "LDiffRec": _DIFFUSION
    | _numbers("n_cate reparam in_dims out_dims lamda anneal_cap anneal_steps vae_anneal_cap vae_anneal_steps")
    | {"ae_act_func": _ACTIVATIONS},
    "LINE": _numbers("embedding_size order second_order_loss_weight"),
    "LightGCN": _numbers("embedding_size n_layers reg_weight"),
    "MacridVAE": _numbers(
        "embedding_size dropout_prob kfac nogb std encoder_hidden_size tau anneal_cap total_anneal_steps reg_weights"
    ),
    "MultiDAE": _numbers("mlp_hidden_size latent_dimension dropout_prob"),
    "MultiVAE": _numbers("mlp_hidden_size latent_dimension dropout_prob anneal_cap total_anneal_steps"),
    "NAIS": _numbers("embedding_size weight_size split_to reg_weights alpha beta") | {"algorithm": ("prod", "concat")},
    "NCEPLRec": _numbers("beta rank reg_weight"),
    "NCL": _numbers(
        "embedding_size n_layers reg_weight ssl_temp ssl_reg hyper_layers alpha proto_reg num_clusters m_step warm_up_step"
    ),
    "NGCF": _numbers("embedding_size hidden_size_list node_dropout message_dropout reg_weight"),
    "NNCF": _numbers(
        "ui_embedding_size neigh_embedding_size num_conv_kernel conv_kernel_size pool_kernel_size mlp_hidden_size neigh_num "
        "dropout resolution"
    ) | {"neigh_info_method": ("random", "knn", "louvain")},
    "NeuMF": _numbers("mf_embedding_size mlp_embedding_size mlp_hidden_size dropout_prob mf_train mlp_train"),
    "Pop": {},
    "RaCT": _numbers(
        "mlp_hidden_size latent_dimension dropout_prob anneal_cap total_anneal_steps critic_layers metrics_k"
    ),
    "Random": {},
    "RecVAE": _numbers(
        "hidden_dimension latent_dimension dropout_prob beta gamma mixture_weights n_enc_epochs n_dec_epochs"
    ),
    "SGL": _numbers("n_layers ssl_tau reg_weight ssl_weight drop_ratio embedding_size") | {"type": ("ND", "ED", "RW")},
    "SLIMElastic": _numbers("alpha l1_ratio positive_only hide_item"),
    "SimpleX": _numbers("embedding_size margin negative_weight gamma history_len reg_weight dropout_prob")
    | {"aggregator": ("mean", "user_attention", "self_attention")},
    "SpectralCF": _numbers("embedding_size n_layers reg_weight"),
}  # fmt: skip
RECBOLE: dict[str, Options] = {name: _TRAINING | options for name, options in _OF_RECBOLE.items()}

_THREADS = _numbers("recommend_n_threads recommend_use_gpu_ranking verbose")
_DTYPE: Options = {"model.dtype": ("float32", "float64")}
RECTOOLS: dict[str, Options] = {
    "EASEModel": _THREADS | _numbers("regularization"),
    "ImplicitALSWrapperModel": _THREADS | _DTYPE | {"model.cls": ("AlternatingLeastSquares",)} | _numbers(
        "model.factors model.regularization model.alpha model.use_native model.use_cg model.use_gpu model.iterations "
        "model.calculate_training_loss model.num_threads fit_features_together"
    ),
    "ImplicitBPRWrapperModel": _THREADS | _DTYPE | {"model.cls": ("BayesianPersonalizedRanking",)} | _numbers(
        "model.factors model.learning_rate model.regularization model.num_threads model.iterations "
        "model.verify_negative_samples model.use_gpu"
    ),
    "ImplicitItemKNNWrapperModel": _numbers("model.K model.K1 model.B model.num_threads verbose") | {
        "model.cls": ("ItemItemRecommender", "CosineRecommender", "TFIDFRecommender", "BM25Recommender"),
    },
    "PopularModel": _numbers("add_cold inverse verbose")
    | {"popularity": ("n_users", "n_interactions", "mean_weight", "sum_weight")},
    "PureSVDModel": _THREADS | _numbers("factors tol maxiter use_gpu"),
    "RandomModel": _numbers("verbose"),
}  # fmt: skip


def check_options(library: str, models: Mapping[str, Options], model: str, options: Mapping[str, Any]) -> None:
    """Refuse a model that is not listed, and any option that is not, or whose value is neither plain nor one of its words.

    Raises:
        ConfigError: names the option, and what it may be.
    """
    if model not in models:
        raise ConfigError(f"{library} has no model {model!r} that can be used here.", hint=suggest(str(model), models))
    _check_table(f"{model} of {library}", models[model], options, "")


def _check_table(owner: str, allowed: Options, table: Mapping[str, Any], prefix: str) -> None:
    for key, value in table.items():
        name = f"{prefix}{key}"
        inside = [other for other in allowed if other.startswith(f"{name}.")]
        if "." in str(key) or (name not in allowed and not inside):
            hint = suggest(name, allowed) if allowed else "It takes no options."
            raise ConfigError(f"{owner} has no option {name!r} that can be set here.", hint=hint)
        if inside and not isinstance(value, Mapping):
            raise ConfigError(f"{owner}: {name!r} is a table.", hint=f"It holds {', '.join(inside)}.")
        if inside:
            _check_table(owner, allowed, value, f"{name}.")
            continue
        words = allowed[name]
        if words and not (isinstance(value, str) and value in words):
            raise ConfigError(
                f"{owner}: {name!r} does not have this value.", hint=f"Choose one of: {', '.join(words)}."
            )
        if not words and not all(map(_plain, value if isinstance(value, (list, tuple)) else [value])):
            raise ConfigError(
                f"{owner}: {name!r} is no plain number.", hint="Give a number, true or false, or a list of them."
            )


def _plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and abs(value) <= LARGEST  # true and false among them
