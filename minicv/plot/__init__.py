"""Figures: arrays in, a matplotlib Axes out; nothing is shown or saved behind the caller's back.

Functions take ``ax=None`` and return the Axes they drew on. matplotlib is imported inside them.
"""

from .attention import attention_player, plot_attention
from .backprop import backprop_player
from .boosting import plot_regions, plot_stump, plot_weights
from .boxes import plot_costs, show_boxes
from .confusion import plot_confusion
from .contours import plot_contours, plot_path
from .curves import plot_curves
from .decoding import decoding_player
from .embed import alt_text, embed, image_uri
from .images import show_filters, show_image, show_images, show_misclassified, tile
from .modules import module_svg, plot_modules
from .paths import paths_player
from .player import Player
from .precision_recall import plot_precision_recall
from .regions import merge_player
from .rounds import boosting_player
from .sanitize import clean_svg, pictures
from .sliding import sliding_player
from .style import PALETTE, figure_style, new_axes
from .suppression import nms_player, windows_player
from .threshold import threshold_player
from .trees import plot_tree

__all__ = ["PALETTE", "Player", "alt_text", "attention_player", "backprop_player", "boosting_player", "clean_svg",
           "decoding_player", "embed", "figure_style", "image_uri", "merge_player", "module_svg", "new_axes",
           "nms_player", "paths_player", "pictures", "plot_attention", "plot_confusion", "plot_contours", "plot_costs",
           "plot_curves", "plot_modules", "plot_path", "plot_precision_recall", "plot_regions", "plot_stump",
           "plot_tree", "plot_weights", "show_boxes", "show_filters", "show_image", "show_images", "show_misclassified",
           "sliding_player", "threshold_player", "tile", "windows_player"]
