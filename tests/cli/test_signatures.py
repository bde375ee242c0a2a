"""Names, parameters and defaults that 2018 code relies on."""

import importlib
import inspect

import pytest

ITERATOR = (
    "batch_size, data_shape, path_imgrec=None, shuffle=False, aug_list=None, mean=None, "
    "rand_mirror=False, cutoff=0, data_name='data', label_name='softmax_label'"
)
TRAINING = ["parse_args()", "train_net(args)", "main()", "AccMetric()", "LossValueMetric()"]
PAIRS = "embeddings1, embeddings2, actual_issame"
SIGNATURES = {
    "common.face_image": [
        "load_property(data_dir)",
        "get_dataset(name, input_dir)",
        "get_dataset_common(input_dir, min_images=1)",
        "get_dataset_celeb(input_dir)",
        "get_dataset_facescrub(input_dir)",
        "get_dataset_megaface(input_dir)",
        "get_dataset_fgnet(input_dir)",
        "get_dataset_ytf(input_dir)",
        "get_dataset_clfw(input_dir)",
    ],
    "common.face_preprocess": [
        "parse_lst_line(line)",
        "read_image(path, mode='rgb', layout='HWC')",
        "preprocess(img, bbox=None, landmark=None)",
    ],
    "common.noise_sgd": ["NoiseSGD(scale)"],
    "align.detect_face": [
        "create_mtcnn(sess, model_path)",
        "detect_face(img, minsize, pnet, rnet, onet, threshold, factor)",
        "detect_face_force(img, bbox, pnet, rnet, onet)",
        "bulk_detect_face(images, detection_window_size_ratio, pnet, rnet, onet, threshold, "
        "factor)",
        "nms(boxes, threshold, method)",
        "bbreg(boundingbox, reg)",
        "rerec(bboxA)",
        "pad(total_boxes, w, h)",
        "generateBoundingBox(imap, reg, scale, t)",
        "imresample(img, sz)",
    ],
    "align.align_megaface": [
        "main(args)",
        "parse_arguments(argv)",
        "IOU(Reframe, GTframe)",
        "to_rgb(img)",
    ],
    "image_iter": [f"FaceImageIter({ITERATOR})", "FaceImageIterList(iter_list)"],
    "triplet_image_iter": [
        f"FaceImageIter({ITERATOR}, ctx_num, images_per_identity, triplet_params, mx_model)",
        "FaceImageIter.pairwise_dists(self, embeddings)",
        "FaceImageIter.pick_triplets(self, embeddings, nrof_images_per_class)",
        "FaceImageIter.select_triplets(self)",
        "FaceImageIter.triplet_reset(self)",
    ],
    "train_softmax": ["get_symbol(args, arg_params, aux_params)", *TRAINING],
    "train_triplet": ["get_symbol(args, arg_params, aux_params, sym_embedding=None)", *TRAINING],
    "symbols.symbol_utils": ["get_fc1(last_conv, num_classes, fc_type)"],
    "data.face2rec2": ["read_list(path_in)", "image_encode(args, i, item, q_out)", "parse_args()"],
    "data.dataset_merge": ["main(args)", "get_embedding(args, imgrec, id, image_size, model)"],
    "eval.verification": [
        "LFold(n_splits=2, shuffle=False)",
        f"calculate_roc(thresholds, {PAIRS}, nrof_folds=10, pca=0)",
        "calculate_accuracy(threshold, dist, actual_issame)",
        f"calculate_val(thresholds, {PAIRS}, far_target, nrof_folds=10)",
        "calculate_val_far(threshold, dist, actual_issame)",
        "evaluate(embeddings, actual_issame, nrof_folds=10, pca=0)",
        "load_bin(path, image_size)",
        "test(data_set, mx_model, batch_size, nfolds=10, data_extra=None, label_shape=None)",
        "test_badcase(data_set, mx_model, batch_size)",
        "dumpR(data_set, mx_model, batch_size)",
    ],
}
NETWORKS = (
    *("fresnet", "fmobilefacenet", "fmobilenet", "fmobilenetv2", "fdensenet", "fdpn"),
    *("finception_resnet_v2", "fxception", "fnasnet", "spherenet"),
)


def parameters_of(text):
    """(name, [(parameter, its default's text or '')]) of a signature."""
    name, _, rest = text.partition("(")
    pairs = [part.strip() for part in rest.rstrip(")").split(", ")] if rest != ")" else []
    return name, [tuple([*pair.split("="), ""][:2]) for pair in pairs]


@pytest.mark.parametrize(
    ("module", "text"), [(module, text) for module in SIGNATURES for text in SIGNATURES[module]]
)
def test_parameters_have_the_order_and_defaults_of_2018(module, text):
    name, expected = parameters_of(text)
    found = importlib.import_module(f"src.{module}")
    for part in name.split("."):
        found = getattr(found, part)
    actual = list(inspect.signature(found).parameters.values())
    assert [parameter.name for parameter in actual][: len(expected)] == [n for n, _ in expected]
    for parameter, (_, default) in zip(actual, expected, strict=False):
        assert parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        if default:
            assert repr(parameter.default) == default, parameter.name
    for parameter in actual[len(expected) :]:
        optional = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        assert optional or parameter.default is not parameter.empty, parameter.name


@pytest.mark.parametrize("name", NETWORKS)
def test_get_symbol_takes_the_embedding_size_first(name):
    function = importlib.import_module(f"src.symbols.{name}").get_symbol
    assert next(iter(inspect.signature(function).parameters)) == "num_classes"
