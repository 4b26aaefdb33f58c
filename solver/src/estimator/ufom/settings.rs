//! Names, settings and defaults of `Ufom`, including `jump`.

use super::{Cheap, Ufom};
use crate::by_place::ByPlace;
use crate::error::Error;
use crate::estimator::jump::Jump;
use crate::estimator::probability::Probability;
use crate::schedule::Schedule;
use crate::spelling::{About, Range, Spelled, Visit};

impl Default for Ufom {
    /// Uses first-order estimates with coins of probability 0.1.
    fn default() -> Self {
        Self {
            probability: Probability::Fixed(0.1),
            cheap: Cheap::FirstOrder,
            schedule: Schedule::default(),
            product: 2.0,
            forced: None,
            plain: None,
            chances: Vec::new(),
            sums: Vec::new(),
            intervals: Vec::new(),
            found: ByPlace::default(),
        }
    }
}

impl Spelled for Ufom {
    fn about(&self) -> About {
        match self.cheap {
            Cheap::Jump(_) => About {
                name: "jump",
                summary: "coarse adjoint by Chebyshev interpolation, made unbiased by a coin",
                cost: "r gradients, anchors degree HVPs, exact with probability q",
            },
            _ => About {
                name: "ufom",
                summary: "first-order (or, with k or mixed, another cheap estimate), made unbiased by a coin",
                cost: "r gradients, r HVPs with probability q",
            },
        }
    }

    fn spell(&self, settings: &mut Visit) -> Result<Self, Error> {
        let jump = matches!(self.cheap, Cheap::Jump(_));
        let probability = self.probability.spell(settings, jump);
        let cost = "cost of a Hessian-vector product in inner gradients, for a learned q";
        let (known, shown) = (self.product, self.product != 2.0);
        let product = settings.get_if(shown, "product", known, Range::POSITIVE, cost);
        let cheap = if let Cheap::Jump(Jump { anchors, degree }) = self.cheap {
            let nodes = "Chebyshev nodes per segment";
            Cheap::Jump(Jump {
                anchors: settings.get(
                    "anchors",
                    anchors,
                    Range::ONE_OR_MORE,
                    "number of segments of the loop",
                ),
                degree: settings.get("degree", degree, Range::ONE_OR_MORE, nodes),
            })
        } else {
            let k = if let Cheap::Truncated { k } = self.cheap { Some(k) } else { None };
            let k =
                settings.get("k", k, Range::COUNT, "the cheap estimate reverses the last k steps");
            let help = "the cheap estimate adds r times the mixed term of the last step";
            let mixed = settings.get("mixed", self.cheap == Cheap::Mixed, Range::SWITCH, help);
            settings.at_most_one(&[k.is_some(), mixed], "k or mixed");
            let other = if mixed { Cheap::Mixed } else { Cheap::FirstOrder };
            k.map_or(other, |k| Cheap::Truncated { k })
        };
        Ok(Self { probability, cheap, product, ..self.clone() })
    }
}
